"""Trains a model, compares its predictions with baselines and draws them.

    python experiments/run.py +model=dlh
    python experiments/run.py +model=cwvae +data=moving_ball train.steps=2000 seed=1
    python experiments/run.py -m +model=cwvae,dlh seed=0,1,2

The same command continues a run that was broken off. See --help.
"""

import math
from pathlib import Path
from typing import cast

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pyrovp.process import tune_allocator
from pyrovp.train.command_line import run_command, stopping_at
from pyrovp.train.errors import RunError
from pyrovp.train.experiment import Experiment
from pyrovp.train.processes import joined
from pyrovp.train.settings import Settings

__all__ = ["main"]

CONF = Path(__file__).resolve().parent / "conf"

ConfigStore.instance().store(name="settings", node=Settings)
# ${mul:20,338} in a configuration: a product, such as of epochs and their steps.
OmegaConf.register_new_resolver("mul", lambda *factors: math.prod(factors), replace=True)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(config: DictConfig) -> None:
    """One run."""
    chosen = HydraConfig.get().runtime.choices
    with stopping_at(ValueError, OmegaConfBaseException):
        settings = cast(Settings, OmegaConf.to_object(config))
        experiment = Experiment(settings, chosen["model"], chosen["data"])
    with stopping_at(RunError):
        experiment.run()


def main() -> None:
    """The command."""
    tune_allocator()  # this process is ours
    with stopping_at(RunError), joined():
        run_command(job, CONF)


if __name__ == "__main__":
    main()
