"""Asks trained runs what their levels hold, and shows what was found.

    python experiments/analyse.py runs/NAME/seed0 analysis=level_kl
    python experiments/analyse.py runs/NAME/seed0 analysis=level_reset clips=32 length=48
    python experiments/analyse.py runs -m analysis=level_kl,prior_entropy

What was found lies in runs/NAME/seed0/analyses/. See --help.
"""

from pathlib import Path
from typing import cast

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pyrovp.commands.folder_command import FolderCommand, each_run, folder_command
from pyrovp.commands.hydra_job import stopping_at
from pyrovp.process import tune_allocator
from pyrovp.runs.inquiry import Inquiry, InquirySettings

__all__ = ["main"]

CONF = Path(__file__).resolve().parent / "conf"
COMMAND = FolderCommand(
    "analyse",
    CONF,
    InquirySettings,
    example="analysis=level_kl",
    keys=(
        "clips",
        "length",
        "context",
        "seed",
        "weights",
        "device",
        "force",
    ),  # fmt: skip
    about=__doc__,
    groups=("analysis",),
    needed=("analysis",),
)

ConfigStore.instance().store(name="inquiry_settings", node=InquirySettings)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="analyse")
def job(config: DictConfig) -> None:
    """One question to each run."""
    name = HydraConfig.get().runtime.choices["analysis"]
    with stopping_at(ValueError, OmegaConfBaseException):
        settings = cast(InquirySettings, OmegaConf.to_object(config))
    each_run(settings.runs, lambda folder: Inquiry(settings, name, folder).run())


def main() -> None:
    """The command."""
    tune_allocator()  # this process is ours
    folder_command(job, COMMAND)


if __name__ == "__main__":
    main()
