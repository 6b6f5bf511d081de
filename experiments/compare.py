"""Puts runs side by side: tables over seeds, baselines, mean ranks, published figures beside.

    python experiments/compare.py runs/*
    python experiments/compare.py runs/dlh-moving_digits-1f0c9a2b runs/cwvae-moving_digits-8e21d03c
    python experiments/compare.py runs protocol=bcf363207d out=/tmp/comparison

It reads what the runs' own evaluations and experiments/evaluate.py have written, and evaluates
nothing itself. See --help.
"""

from pathlib import Path
from typing import cast

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pyrovp.commands.folder_command import FolderCommand, folder_command
from pyrovp.commands.hydra_job import stopping_at
from pyrovp.compare import Comparison, ComparisonSettings

__all__ = ["main"]

CONF = Path(__file__).resolve().parent / "conf"
COMMAND = FolderCommand(
    "compare",
    CONF,
    ComparisonSettings,
    example="out=comparison",
    keys=(
        "out",
        "protocol",
    ),  # fmt: skip
    about=__doc__,
)

ConfigStore.instance().store(name="comparison_settings", node=ComparisonSettings)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="compare")
def job(config: DictConfig) -> None:
    """One comparison of all runs."""
    with stopping_at(ValueError, OmegaConfBaseException):
        settings = cast(ComparisonSettings, OmegaConf.to_object(config))
        Comparison(settings).run()


def main() -> None:
    """The command."""
    folder_command(job, COMMAND)


if __name__ == "__main__":
    main()
