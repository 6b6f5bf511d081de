"""The data sets made of files: one file a data set."""

__all__: list[str] = []
