"""Runs side by side: tables over seeds, baselines, mean ranks, and published figures beside."""

from pyrovp.compare.comparison import Comparison, ComparisonSettings
from pyrovp.compare.figures import Figures, LeftOut, Score, read_run
from pyrovp.compare.ranks import Ranks, mean_ranks, ranked
from pyrovp.compare.sections import Section, sections_of
from pyrovp.compare.table import Cell, Column, Row, Table
from pyrovp.compare.tables import tables_of

__all__ = [
    "Cell",
    "Column",
    "Comparison",
    "ComparisonSettings",
    "Figures",
    "LeftOut",
    "Ranks",
    "Row",
    "Score",
    "Section",
    "Table",
    "mean_ranks",
    "ranked",
    "read_run",
    "sections_of",
    "tables_of",
]
