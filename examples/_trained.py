"""What the examples look at: two small runs, or one of yours.

    python examples/predict.py [PICTURE] [RUN]

PICTURE is where the picture goes, RUN the folder of a run. Without RUN an example takes what
`experiments/run.py` makes of its settings in `runs/` of the current folder: trained now if it is
not there yet, continued if it was broken off. `PYROVP_SETTINGS="train.steps=3000 seed=1"` before
the command changes the settings.
"""

__all__ = ["arguments", "ball", "clips", "digits", "picture", "steps", "trained"]

import os
import sys
from itertools import islice
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

sys.path.append(str(Path(__file__).resolve().parents[1]))
import pyrovp
from experiments.run import CONF
from pyrovp.analysis import Clips
from pyrovp.data import batches
from pyrovp.runs.experiment import Experiment
from pyrovp.runs.trained import Trained

settings = os.environ.get("PYROVP_SETTINGS", "").split()
"""As on the command line of `experiments/run.py`."""

arguments = [] if "ipykernel" in sys.modules else sys.argv[1:]
"""Of the command line; a notebook has none."""


def picture(name: str) -> Path:
    """Where an example's picture goes."""
    return Path(arguments[0] if arguments else name)


def steps(default: int) -> int:
    """How long an example trains that does so by itself."""
    chosen = [setting for setting in settings if setting.startswith("train.steps=")]
    return int(chosen[-1].partition("=")[2]) if chosen else default


def digits(model: str = "dlh") -> Trained:
    """The README's run: one handwritten digit moves."""
    return trained(model, "moving_digits")


def ball() -> Trained:
    """A DLH that has seen a ball change its colour, at walls and at one frame in ten by itself.

    Its level 2 learns to hold the colour, and its gate to open when that changes.
    """
    return trained(
        "dlh",
        "moving_ball",
        "data.change_probability=0.1",
        "data.length=30",
        "model.gate={_target_:pyrovp.MixtureGate,size:64,fresh_static:false}",
        *"model.std=0.5 model.width=0.25 model.memory=64 model.context=64 model.state=10".split(),
        "objective.beta.steps=300",
        "train.steps=2000",
    )


def trained(model: str, data: str, *own: str) -> Trained:
    """The run that was named, or that of `run.py +model=MODEL +data=DATA OWN SETTINGS`."""
    if len(arguments) > 1:
        return pyrovp.load(arguments[1], device="cpu")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", [f"model={model}", f"data={data}", *own, *settings])
    experiment = Experiment(OmegaConf.to_object(config), model, data)
    experiment.run()
    torch.manual_seed(0)  # the same picture each time
    return pyrovp.load(experiment.directory.path, device="cpu")


def clips(run: Trained, count: int = 16, context: int = 12, length: int = 24) -> Clips:
    """Held-out clips of the run's data set, with what is known of them."""
    videos = run.videos("test", length=length)
    batch = next(islice(batches(videos, count), 1))
    return Clips(batch["video"], context, batch["states"], videos.source)
