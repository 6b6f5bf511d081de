"""The forms of what an analysis found."""

import pytest

from pyrovp.analysis.findings import Table


def test_a_row_has_a_cell_for_each_column() -> None:
    assert Table("t", ["a", "b"], [[1, None], ["x", 2.0]]).rows[1] == ["x", 2.0]
    with pytest.raises(ValueError, match=r"table 't' has the columns \['a', 'b'\].* has 1 cells"):
        Table("t", ["a", "b"], [[1]])
