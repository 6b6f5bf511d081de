"""The systems, held against literal transcriptions of their papers."""

__all__: list[str] = []
