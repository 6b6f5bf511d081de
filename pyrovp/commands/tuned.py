r"""A search for settings: each member is tried where earlier ones make the best hope for.

    params: optimiser.lr: tag(log, interval(1e-4, 1e-2))        the space, in Hydra's words
    trial n:    settings ~ sampler(trials before n)   ->   a run   ->   its best validation loss

The trials lie in a journal beside the runs. The same command takes the search up again: what is
finished is not run again, what was under way goes on from its checkpoint, and each new trial is
drawn from the trials before it and a seed of its own, so that a search with one trial at a time
takes the same way however often it was broken off.

A trial fails if its loss is not finite or its settings make no run. What is no fault of its
settings, a full disk or a lost machine, stops the search, which takes the trial up again.

The sampler is Optuna's tree-structured Parzen estimator (Akiba et al., Optuna: A Next-generation
Hyperparameter Optimization Framework, 2019, https://arxiv.org/abs/1907.10902).
"""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override
from omegaconf import OmegaConf

from pyrovp.commands.journal import alone, sound
from pyrovp.commands.sweep import Failure, Members, Value
from pyrovp.errors import RunError
from pyrovp.processes import Processes
from pyrovp.runs.run_directory import fingerprint
from pyrovp.runs.settings import TrainSettings

__all__ = ["Tuned"]


class Tuned(Members):
    """Searches the space of the values that are given as ranges or lists.

    Args:
        params: See `Members`; `interval(a, b)`, `int(interval(a, b))`, `tag(log, interval(a, b))`
            or a list of values.
        trials: How many runs, failed ones included.
        max_batch_size: Runs that are handed to the launcher together, and do not learn from one
            another; None: all of them.
        random: Trials at the start that are drawn from the space alone.
        seed: Of the sampler.

    Raises:
        RunError: If a number makes no sense, or Optuna is not installed.
    """

    def __init__(
        self,
        params: Mapping[str, Any] | None,
        trials: int = 20,
        max_batch_size: int | None = 1,
        random: int = 5,
        seed: int = 0,
    ) -> None:
        super().__init__(params)
        at_once = trials if max_batch_size is None else max_batch_size
        counts = {"trials": trials, "max_batch_size": at_once, "random": random}
        for name, number in counts.items():
            if not isinstance(number, int) or number < 1:
                raise RunError(
                    f"hydra.sweeper.{name} must be a whole number of at least 1, got {number}"
                )
        self.trials = trials
        self.at_once = at_once
        self.random = random
        self.seed = seed
        self.optuna = _optuna()

    def sweep(self, arguments: list[str]) -> None:
        """See `Members`."""
        if Processes.present().ranks > 1:
            raise RunError("a search has one process; start it with python instead of torchrun")
        parsed = {o.get_key_element(): o for o in self.overrides(arguments)}.values()
        fixed = [str(o.input_line) for o in parsed if not o.is_sweep_override()]
        searched = [o for o in parsed if o.is_sweep_override()]
        if not searched:
            raise RunError(
                "this search has nothing to go through; give a range or a list, such as "
                "'optimiser.lr=tag(log,interval(1e-4,1e-2))' or model.state=8,16,32"
            )
        space = {o.get_key_element(): self._distribution(o) for o in searched}
        path = self._journal(fixed, [str(o.input_line) for o in searched])
        with alone(path):
            study = self._study(path)
            print(f"a search of {self.trials} trials, written down in {path}")
            passing = self._search(study, space, fixed, path)
            found = self._report(study)
        if passing is not None:
            raise RunError(
                f"the search has stopped, for a reason that lies outside of what is searched; "
                f"when it is mended, the same command takes the trial up again: {passing}"
            )
        self.conclude()
        if not found:
            raise RunError(
                f"none of the {len(_ended(study, space))} trials of this search has come to a "
                f"validation loss; change what is searched or kept fixed, raise "
                f"hydra.sweeper.trials, or remove {path} to try the same ones again"
            )

    def _study(self, path: Path) -> Any:
        """The trials so far."""
        storage = self.optuna.storages
        with sound(path):
            return self.optuna.create_study(
                storage=storage.JournalStorage(storage.journal.JournalFileBackend(str(path))),
                study_name="pyrovp",
                load_if_exists=True,
            )

    def _search(
        self, study: Any, space: Mapping[str, Any], fixed: Sequence[str], path: Path
    ) -> str | None:
        """Runs trials until there are as many as were asked for.

        Returns:
            Why not, where one has ended for a reason that its settings are not to blame for.
        """
        while room := min(self.at_once, self.trials - len(_ended(study, space))):
            if room < 0:  # an earlier command has asked for more
                break
            begun = [t for t in _complete(study, space) if not t.state.is_finished()][:room]
            for _ in range(room - len(begun)):
                with sound(path):
                    begun.append(self._ask(study, space))
            batch = [[*fixed, *(f"{key}={trial.params[key]}" for key in space)] for trial in begun]
            values = self.launch(batch, begun[0].number)
            for trial, value in zip(begun, values, strict=True):
                with sound(path):
                    self._tell(study, trial.number, value)
            for value in values:
                if isinstance(value, Failure) and not value.lasting:
                    return value.reason
        return None

    def _tell(self, study: Any, number: int, value: Value) -> None:
        """Writes down what has become of a trial; nothing where it is to be taken up again."""
        if isinstance(value, Failure) and not value.lasting:
            return
        if value is None or isinstance(value, Failure):  # None: no validation gave a number
            study.tell(number, state=self.optuna.trial.TrialState.FAIL)
        else:
            study.tell(number, value)

    def _ask(self, study: Any, space: Mapping[str, Any]) -> Any:
        """A new trial."""
        number = len(study.get_trials(deepcopy=False))
        # A sampler keeps its generator to itself: a fresh one knows where a search has got to.
        study.sampler = self.optuna.samplers.TPESampler(
            seed=self.seed * 1_000_003 + number, n_startup_trials=self.random
        )
        return study.ask(dict(space))

    def _distribution(self, override: Override) -> Any:
        """The range or the list of an override as Optuna's."""
        key, distributions = override.get_key_element(), self.optuna.distributions
        if override.is_discrete_sweep():
            values = [text.partition("=")[2] for text in _listed(override)]
            return distributions.CategoricalDistribution(values)
        sweep = override.value()
        if not isinstance(sweep, IntervalSweep) or sweep.start is None or sweep.end is None:
            raise RunError(
                f"{override.input_line}: {key} needs interval(a, b) or a list of values"
            )
        whole = isinstance(sweep.start, int) and isinstance(sweep.end, int)
        kind = distributions.IntDistribution if whole else distributions.FloatDistribution
        try:
            return kind(sweep.start, sweep.end, log="log" in sweep.tags)
        except ValueError as error:
            raise RunError(f"{override.input_line}: {error}") from None

    def _journal(self, fixed: Sequence[str], searched: Sequence[str]) -> Path:
        """The file of this search: its name depends on what decides a trial's value."""
        loader = self.hydra_context.config_loader
        config = loader.load_sweep_config(self.config, list(fixed))
        chosen = config.hydra.runtime.choices
        settings: Any = OmegaConf.to_container(
            OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]),
            resolve=True,
        )
        train = settings["train"]
        _check_validation(train)
        budget = [settings["seed"], train["steps"], train["validate_every"]]
        budget += [train["validate_sequences"], self.seed, self.random]
        name = fingerprint({**settings, "search": [sorted(searched), budget]})
        folder = Path(self.config.hydra.sweep.dir) / ".searches"
        return folder / f"{chosen['model']}-{chosen['data']}-{name}.journal"

    def _report(self, study: Any) -> bool:
        """Prints the trials, best first; returns whether there are any."""
        trials = [t for t in study.get_trials(deepcopy=False) if t.value is not None]
        lines = [
            f"  {trial.value:<12.6g}" + " ".join(f"{k}={v}" for k, v in trial.params.items())
            for trial in sorted(trials, key=lambda trial: trial.value)
        ]
        if lines:
            print("\n".join(["", "validation loss and settings, best first:", *lines]))
        return bool(lines)


def _complete(study: Any, space: Mapping[str, Any]) -> list[Any]:
    """The trials whose settings were all drawn: a search may be killed between two of them."""
    return [t for t in study.get_trials(deepcopy=False) if set(space) <= set(t.params)]


def _ended(study: Any, space: Mapping[str, Any]) -> list[Any]:
    return [trial for trial in _complete(study, space) if trial.state.is_finished()]


def _check_validation(train: Mapping[str, Any]) -> None:
    """Refuses runs that could not be compared, before the first of them.

    Args:
        train: Settings of the training, as far as they are not searched.

    Raises:
        RunError: If there is no validation, or a setting is out of its range.
    """
    try:
        settings = TrainSettings(**train)
    except ValueError as error:
        raise RunError(str(error)) from None
    if not settings.validates:
        raise RunError(
            f"train.validate_every={settings.validate_every}, train.validate_sequences="
            f"{settings.validate_sequences} and train.steps={settings.steps} make no validation, "
            f"and a search compares validation losses; use a train.validate_every of at most "
            f"train.steps, and train.validate_sequences above 0"
        )


def _listed(override: Override) -> Iterator[str]:
    """key=value for each value of a list."""
    return (f"{override.get_key_element()}={text}" for text in override.sweep_string_iterator())


def _optuna() -> Any:
    """Optuna, which says no more than it has to.

    Raises:
        RunError: If it is not installed.
    """
    try:
        optuna = importlib.import_module("optuna")
    except ModuleNotFoundError:
        raise RunError(
            "a search needs the package optuna, which is not installed; run: "
            "pip install 'pyrovp[cluster]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
