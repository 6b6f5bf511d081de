"""A `Table` as a CSV file: its columns' names, then its rows, numbers in full.

A cell that is None, or no number, is empty: spreadsheets and dataframes read that as missing.
"""

__all__ = ["table_csv"]

import csv
import math
import os

from pyrovp.analysis.findings import Table
from pyrovp.files import atomic_write


def table_csv(path: str | os.PathLike[str], table: Table) -> None:
    """Writes the table, in UTF-8.

    Args:
        path: The file to write.
        table: What is shown; its title is not in the file.
    """
    with (
        atomic_write(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table.columns)
        writer.writerows([_cell(cell) for cell in row] for row in table.rows)


def _cell(cell: str | float | int | None) -> str | float | int | None:
    return None if isinstance(cell, float) and math.isnan(cell) else cell
