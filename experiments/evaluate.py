"""Evaluates trained runs under a protocol, beside baselines.

    python experiments/evaluate.py runs/NAME/seed0
    python experiments/evaluate.py runs/NAME/seed0 protocol=dlh
    python experiments/evaluate.py runs protocol=own context=12 horizon=100 samples=10
    torchrun --nproc-per-node=4 experiments/evaluate.py runs/NAME/seed0

Figures and pictures lie in runs/NAME/seed0/evaluations/. The same command continues an evaluation
that was broken off. What is null is as the run itself, or the protocol, says. See --help.
"""

from pathlib import Path
from typing import cast

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pyrovp.commands.folder_command import FolderCommand, each_run, folder_command
from pyrovp.commands.hydra_job import stopping_at
from pyrovp.errors import RunError
from pyrovp.process import tune_allocator
from pyrovp.runs.evaluation_settings import EvaluationSettings
from pyrovp.runs.run_evaluation import RunEvaluation
from pyrovp.train.torchrun import joined

__all__ = ["main"]

CONF = Path(__file__).resolve().parent / "conf"
COMMAND = FolderCommand(
    "evaluate",
    CONF,
    EvaluationSettings,
    example="protocol=own horizon=100 samples=10",
    keys=(
        "protocol",
        "context",
        "horizon",
        "samples",
        "sequences",
        "ssim",
        "clip",
        "metrics",
        "weights",
        "rows",
        "lpips_weights",
        "fvd_weights",
        "device",
        "force",
    ),  # fmt: skip
    about=__doc__,
)

ConfigStore.instance().store(name="evaluation_settings", node=EvaluationSettings)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="evaluate")
def job(config: DictConfig) -> None:
    """One evaluation of each run."""
    with stopping_at(ValueError, OmegaConfBaseException):
        settings = cast(EvaluationSettings, OmegaConf.to_object(config))
    each_run(settings.runs, lambda folder: RunEvaluation(settings, folder).run())


def main() -> None:
    """The command."""
    tune_allocator()  # this process is ours
    with stopping_at(RunError), joined():
        folder_command(job, COMMAND)


if __name__ == "__main__":
    main()
