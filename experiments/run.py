"""Trains a model, compares its predictions with baselines and draws them.

    python experiments/run.py +model=dlh
    python experiments/run.py +model=cwvae +data=moving_ball train.steps=2000 seed=1
    python experiments/run.py -m +model=cwvae,dlh seed=0,1,2
    python experiments/run.py -m hydra/launcher=slurm +model=cwvae,dlh seed=0,1,2
    python experiments/run.py +tune=lr +model=cwvae
    torchrun --nproc-per-node=4 experiments/run.py +model=cwvae

The same command continues a run that was broken off. See --help.
"""

import math
from pathlib import Path
from typing import cast

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pyrovp.commands.command_line import run_command, stopping_at
from pyrovp.commands.explained import check_fields, check_given, plain
from pyrovp.commands.requeue import saving_first
from pyrovp.commands.sweep import Value, best_validation, member
from pyrovp.data import DataError
from pyrovp.errors import BadSettings, RunError
from pyrovp.process import settled, tune_allocator
from pyrovp.processes import Processes
from pyrovp.runs.experiment import Experiment
from pyrovp.runs.settings import Settings
from pyrovp.train.torchrun import joined

__all__ = ["main"]

CONF = Path(__file__).resolve().parent / "conf"

ConfigStore.instance().store(name="settings", node=Settings)
# ${mul:20,338} in a configuration: a product, such as of epochs and their steps.
OmegaConf.register_new_resolver("mul", lambda *factors: math.prod(factors), replace=True)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(config: DictConfig) -> Value:
    """One run, or one member of a sweep."""
    tune_allocator()  # this process is ours
    chosen = HydraConfig.get().runtime.choices

    def run() -> float | None:
        return train(config, chosen["model"], chosen["data"])

    sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
    with stopping_at(RunError), saving_first():
        # Processes that train together also fail together: none may go on to another member.
        return member(run) if sweeping and Processes.present().ranks == 1 else run()


def train(config: DictConfig, model: str, data: str) -> float | None:
    """A whole run.

    Args:
        config: As Hydra composed it.
        model, data: What the run is called.

    Returns:
        Its best validation loss, if there was a validation.

    Raises:
        BadSettings: If the configuration makes no run.
        RunError: If a run cannot be begun here, or cannot go on.
    """
    try:
        check_fields(config, Settings)
        check_given(config, model)
        settings = cast(Settings, OmegaConf.to_object(config))
        experiment = Experiment(settings, model, data)
    except RunError:
        raise
    except DataError as error:  # of files, which may come back
        raise RunError(str(error)) from error
    except OmegaConfBaseException as error:
        raise BadSettings(plain(error)) from error
    except ValueError as error:
        raise BadSettings(str(error)) from error
    with settled():
        experiment.run()
    return best_validation(experiment.directory.path)


def main() -> None:
    """The command."""
    with stopping_at(RunError), joined():
        run_command(job, CONF, __doc__)


if __name__ == "__main__":
    main()
