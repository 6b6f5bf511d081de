"""Predicts how a video of your own goes on.

    python experiments/predict.py runs/NAME/seed0 video=my.mp4
    python experiments/predict.py runs/NAME/seed0 video=frames/ context=12 horizon=100 samples=5

What was predicted lies in runs/NAME/seed0/predictions/. See --help.
"""

import sys
from pathlib import Path
from typing import cast

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pyrovp.commands.folder_command import FolderCommand, folder_command
from pyrovp.commands.hydra_job import stopping_at
from pyrovp.process import tune_allocator
from pyrovp.runs.prediction import Prediction, PredictionSettings

__all__ = ["main"]

CONF = Path(__file__).resolve().parent / "conf"
COMMAND = FolderCommand(
    "predict",
    CONF,
    PredictionSettings,
    example="video=my.mp4",
    keys=(
        "video",
        "context",
        "horizon",
        "samples",
        "number",
        "crop",
        "out",
        "seed",
        "weights",
        "device",
    ),  # fmt: skip
    about=__doc__,
    most=1,
)

ConfigStore.instance().store(name="prediction_settings", node=PredictionSettings)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="predict")
def job(config: DictConfig) -> None:
    """One prediction."""
    with stopping_at(ValueError, OmegaConfBaseException):
        settings = cast(PredictionSettings, OmegaConf.to_object(config))
        for folder in settings.runs:
            Prediction(settings, folder).run()


def quoted(argument: str, *, sweep: bool = False) -> str:
    """An argument whose value is a path, as a string of Hydra's grammar.

    Args:
        argument: Of the command line.
        sweep: Whether a comma may part several paths: then only one that is there is quoted.

    Example:
        >>> quoted("context=12"), quoted("out=a, b"), quoted("video=a,b", sweep=True)
        ('context=12', "out='a, b'", 'video=a,b')
    """
    key, _, value = argument.partition("=")
    if key not in ("video", "out") or value in ("", "null") or value[0] in "'\"":
        return argument
    if sweep and not Path(value).expanduser().exists():
        return argument
    return f"{key}='{value.replace(chr(39), chr(92) + chr(39))}'"


def main() -> None:
    """The command."""
    tune_allocator()  # this process is ours
    sweep = bool({"-m", "--multirun"} & set(sys.argv))
    sys.argv[1:] = [quoted(argument, sweep=sweep) for argument in sys.argv[1:]]
    folder_command(job, COMMAND)


if __name__ == "__main__":
    main()
