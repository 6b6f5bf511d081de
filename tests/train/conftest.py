"""What several tests of training begin with."""

from pathlib import Path

import pytest

from pyrovp.train import Checkpoints
from tests.train.toy import trained

__all__ = ["saved"]


@pytest.fixture
def saved(tmp_path: Path) -> list[Path]:
    """Two checkpoints, oldest first, of one and of two steps."""
    checkpoints = Checkpoints(tmp_path, "toy")
    return [checkpoints.save(step, *trained(step), {"seconds": float(step)}) for step in (1, 2)]
