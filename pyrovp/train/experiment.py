"""A whole run: build, train, evaluate, draw, and say that it is done.

    settings -> data, model, guide, objective -> weights -> figures and pictures -> done.json

Everything that a user may have got wrong is refused while building, before any work is done.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn

from pyrovp.checks import nearest
from pyrovp.data import KeyedVideos, batches
from pyrovp.describe import count_parameters, describe, unseen_levels
from pyrovp.draw import curves_png, levels_png, predictions_gif, predictions_png, training_png
from pyrovp.evaluate import Results, evaluate
from pyrovp.metrics import Protocol, render, ssim_preset
from pyrovp.train.checkpoint import Checkpoints
from pyrovp.train.log import Log, check_tensorboard, read_rows
from pyrovp.train.loop import Cadence, fit
from pyrovp.train.randomness import seed_noise, undisturbed
from pyrovp.train.run_directory import RunDirectory
from pyrovp.train.settings import Settings, check_settings

__all__ = ["Experiment", "choose_device"]


@dataclass(frozen=True)
class Videos:
    """Batches of a data set's videos; each pass gives the same ones.

    Args:
        dataset: Keyed videos.
        batch: Sequences at a time.
    """

    dataset: KeyedVideos
    batch: int

    def __iter__(self) -> Iterator[Tensor]:
        return (batch["video"] for batch in batches(self.dataset, self.batch))


class Experiment:
    """A run that is built and ready.

    Args:
        settings: What to build and how long to train it.
        model_name, data_name: What the run is called.

    Raises:
        ValueError: If the settings do not make a run; says which one and what to do.
    """

    def __init__(self, settings: Settings, model_name: str, data_name: str) -> None:
        check_settings(settings)
        if settings.train.tensorboard:
            check_tensorboard()
        self.settings = settings
        self.names = model_name, data_name
        self.device = choose_device(settings.device)
        train, test = settings.train, settings.evaluate
        # Its own part of the key: three seeds see three training sets and one test set.
        self.training = _make("data", settings.data, split="train", seed=settings.seed)
        held_out = {"split": "validation", "size": max(1, train.validate_sequences)}
        self.validation = _make("data", settings.data, **held_out)
        held_out = {"split": "test", "size": test.sequences}
        length = test.context + test.horizon
        self.testing = _make("data", settings.data, **held_out, length=length)
        self.protocol = Protocol(
            "run", test.context, test.horizon, test.samples, ssim_preset(test.ssim), test.clip
        )
        seed_noise(settings.seed, 0, torch.device("cpu"))
        self.model: Any = _make("model", settings.model)
        self.guide: Any = _make_guide(settings.guide, self.model)
        self.objective: nn.Module = _make(
            "objective",
            settings.objective,
            model=self.model,
            guide=self.guide,
            elbo=_make("elbo", settings.elbo),
        ).to(self.device)
        self.directory = RunDirectory(
            Path(settings.out), model_name, data_name, asdict(settings), settings.seed
        )
        self._try_one_clip()

    def _try_one_clip(self) -> None:
        """Model, guide, bound and data have to fit together."""
        given, made = self.settings.channels, self.training.channels
        if given != made:
            raise ValueError(
                f"channels={given}, but the frames of {self.names[1]} have {made}; leave channels "
                f"to the data set, or set data.channels where it has that key"
            )
        try:
            with undisturbed(), torch.no_grad():
                self.objective(self.training[0]["video"][None].to(self.device))
        except ValueError as error:
            text = str(error).partition("\nTrace Shapes:")[0]  # Pyro's table of sites follows
            raise ValueError(f"the parts of this run do not fit together: {text}") from error

    def introduction(self) -> str:
        """What this run is, for its first lines."""
        (model, data), settings = self.names, self.settings
        sections = [
            "data",
            "model",
            "guide",
            "elbo",
            "objective",
            "optimiser",
            "train",
            "evaluate",
        ]
        lines = [f"{model} on {data}: {self.training.source}", ""]
        lines += [f"{name:10}{_brief(asdict(settings)[name])}" for name in sections]
        threads = f", {torch.get_num_threads()} threads" if self.device.type == "cpu" else ""
        lines += ["", describe(self.model, self.guide)]
        lines += [f"device            {_device_name(self.device)}{threads}", ""]
        lines += [f"seed {settings.seed}, folder {self.directory.path}"]
        if unseen := unseen_levels(self.model, settings.evaluate.context):
            lines.append(f"note: {unseen}")
        return "\n".join(lines)

    def run(self, say: Callable[[str], None] = print) -> None:
        """Trains, evaluates and draws, as far as that is not yet done.

        Args:
            say: Told what happens, in lines.

        Raises:
            RunError: If another process works in the folder, or it cannot be written.
        """
        with self.directory.lock():
            if self.settings.force:
                self.directory.clear()
            if self._finished(say):
                return
            say(self.introduction())
            self.directory.write_text("config.yaml", OmegaConf.to_yaml(asdict(self.settings)))
            checkpoints = Checkpoints(self.directory.checkpoints, self.directory.fingerprint, say)
            step = self._train(checkpoints)
            if self.settings.evaluate.checkpoint == "best":
                step = checkpoints.load_best(self.objective).step
            self._report(self._evaluate(), step, say)
            done = {"steps": self.settings.train.steps, "evaluate": asdict(self.settings.evaluate)}
            self.directory.write_json("done.json", done)

    def _finished(self, say: Callable[[str], None]) -> bool:
        done, settings = self.directory.done(), self.settings
        if done is None or done["steps"] < settings.train.steps:
            return False
        if done["evaluate"] != asdict(settings.evaluate):
            say(f"trained to {done['steps']} steps already; evaluating with the new settings")
            return False
        say(
            f"{self.directory.path} is finished: {done['steps']} steps trained and evaluated. "
            f"Nothing to do; force=true starts over, a train.steps above {done['steps']} goes on"
        )
        return True

    def _train(self, checkpoints: Checkpoints) -> int:
        settings, train = self.settings, self.settings.train
        optimizer = torch.optim.Adam(
            self.objective.parameters(),
            lr=settings.optimiser.lr,
            eps=settings.optimiser.eps,
            fused=True,
        )
        cadence = Cadence(
            train.log_every, train.validate_every, train.checkpoint_every, train.checkpoint_seconds
        )
        return fit(
            self.objective,
            optimizer,
            self._batches,
            train.steps,
            seed=settings.seed,
            clip=settings.optimiser.clip,
            cadence=cadence,
            validation=Videos(self.validation, train.batch) if train.validate_sequences else None,
            checkpoints=checkpoints,
            log=Log(self.directory.path, train.tensorboard),
        )

    def _batches(self, step: int) -> Iterator[Tensor]:
        train = self.settings.train
        pinned = self.device.type == "cuda"
        made = batches(self.training, train.batch, step, train.workers, pin_memory=pinned)
        return (batch["video"] for batch in made)

    def _evaluate(self) -> Results:
        return evaluate(
            self.model,
            self.guide,
            self.testing,
            self.training,
            self.protocol,
            sequences=self.settings.evaluate.sequences,
            seed=self.settings.seed,
        )

    def _report(self, results: Results, step: int, say: Callable[[str], None]) -> None:
        """Writes figures and pictures and prints the table."""
        self.directory.write_json("metrics.json", self._facts(step) | results.summary())
        films = vars(results.films)
        pictures: dict[str, Callable[[Path], None]] = {
            "predictions.png": lambda path: predictions_png(path, **films),
            "predictions.gif": lambda path: predictions_gif(path, **films),
            "curves.png": lambda path: curves_png(path, results.table),
            "levels.png": lambda path: levels_png(
                path, results.kl, results.gates if results.gated else None
            ),
        }
        if rows := read_rows(self.directory.path / "metrics.jsonl"):
            pictures["training.png"] = lambda path: training_png(path, rows)
        for name, draw in pictures.items():
            draw(self.directory.path / name)
        say("\n".join(["", render(results.table), *results.sentences(), "", "pictures:"]))
        say("\n".join(f"  {self.directory.path / name}" for name in pictures))

    def _facts(self, step: int) -> dict[str, Any]:
        """What the figures belong to."""
        model, data = self.names
        return {
            "model": model,
            "data": data,
            "source": self.testing.source,
            "test_set": self.testing.fingerprint(),
            "seed": self.settings.seed,
            "step": step,
            "weights": self.settings.evaluate.checkpoint,
            "parameters": count_parameters(self.objective),
        }


def choose_device(name: str) -> torch.device:
    """The device of that name.

    Args:
        name: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:1".

    Raises:
        ValueError: If there is no such device.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", name)
    if match is None:
        raise ValueError(f"device={name} is unknown; use auto, cpu, cuda or cuda:1")
    if name == "cpu":
        return torch.device("cpu")
    count, index = torch.cuda.device_count(), int(match[1] or 0)
    if index >= count:
        raise ValueError(
            f"device={name} was asked for, but torch {torch.__version__} sees {count} CUDA "
            f"devices here; use device=auto, or device=cpu"
        )
    return torch.device("cuda", index)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _make(key: str, node: Any, **given: Any) -> Any:
    """Calls a node's `_target_` with its arguments and those `given`."""
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise ValueError(f"{key} needs a _target_ (what to call), got {node!r}")
    try:
        # The parts first; the call itself is ours, so that its errors arrive as they are.
        call = instantiate(node, _convert_="all", _partial_=True)
    except InstantiationException as error:
        raise ValueError(f"{key}: {_innermost(error)}") from error
    try:
        return call(**given)
    except TypeError as error:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unknown is None:
            raise
        accepted = [name for name in inspect.signature(call.func).parameters if name not in given]
        raise ValueError(
            f"{key}.{unknown[1]} is no argument of {node['_target_']}; "
            f"{nearest(unknown[1], accepted)}"
        ) from None


def _make_guide(node: Any, model: Any) -> Any:
    """A guide is given what it shares: the model, or its hierarchy, as its signature says."""
    call = instantiate(node, _convert_="all", _partial_=True)
    accepted = inspect.signature(call.func).parameters
    if "model" in accepted:
        return _make("guide", node, model=model)
    return _make("guide", node, hierarchy=model.hierarchy)


def _innermost(error: BaseException) -> str:
    """What went wrong at the bottom, with the place in the configuration."""
    place = re.search(r"full_key: (\S+)", str(error))
    while error.__cause__ is not None:
        error = error.__cause__
    where = f" (at {place[1]})" if place else ""
    return f"{error}{where}".splitlines()[0]


def _brief(node: Any) -> str:
    """A section of the configuration in one line."""
    if isinstance(node, Mapping):
        parts = [f"{k}={_brief(v)}" for k, v in node.items() if k != "_target_"]
        target = node.get("_target_")
        name = f"{target.rsplit('.', 1)[-1]}" if target else ""
        return f"{name}({', '.join(parts)})" if target else ", ".join(parts)
    if isinstance(node, list):
        return f"[{', '.join(map(_brief, node))}]"
    return str(node)
