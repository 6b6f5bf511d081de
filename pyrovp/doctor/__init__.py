"""What is here, what is not, and what would work right now: `python -m pyrovp.doctor`."""

__all__: list[str] = []
