"""What the examples look at: the run of the README's main command, or one of yours.

    python examples/predict.py [PICTURE] [RUN]

PICTURE is where the picture goes, RUN the folder of a run. Without RUN an example takes the run
that `experiments/run.py` makes of the settings which the example names, in `runs/` of the current
folder: trained now if it is not there yet, continued if it was broken off.
`PYROVP_SETTINGS="train.steps=2000 seed=1"` before the command changes it.
"""

__all__ = ["clips", "picture", "trained"]

import os
import sys
from itertools import islice
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

sys.path.append(str(Path(__file__).resolve().parents[1]))
import pyrovp
from experiments.run import CONF
from pyrovp.analysis import Clips
from pyrovp.data import batches
from pyrovp.runs.experiment import Experiment
from pyrovp.runs.trained import Trained

arguments = [] if "ipykernel" in sys.modules else sys.argv[1:]
"""Of the command line; a notebook has none."""


def picture(name: str) -> Path:
    """Where an example's picture goes."""
    return Path(arguments[0] if arguments else name)


def trained(model: str = "dlh", data: str = "moving_digits", *settings: str) -> Trained:
    """The run that was named, or that of `run.py +model=MODEL +data=DATA SETTINGS`."""
    if len(arguments) > 1:
        return pyrovp.load(arguments[1], device="cpu")
    more = os.environ.get("PYROVP_SETTINGS", "").split()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", [f"model={model}", f"data={data}", *settings, *more])
    experiment = Experiment(OmegaConf.to_object(config), model, data)
    experiment.run()
    return pyrovp.load(experiment.directory.path, device="cpu")


def clips(run: Trained, count: int = 16, context: int = 12, length: int = 24) -> Clips:
    """Held-out clips of the run's data set, with what is known of them."""
    videos = run.videos("test", length=length)
    batch = next(islice(batches(videos, count), 1))
    return Clips(batch["video"], context, batch["states"], videos.source)
