"""A run on one page: figures, pictures, what was asked of it, and how it was made."""

from pyrovp.report.page import write_report

__all__ = ["write_report"]
