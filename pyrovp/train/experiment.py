"""A whole run: build, train, evaluate, draw, and say that it is done.

    settings -> data, model, guide, objective -> weights -> figures and pictures -> done.json

Everything that a user may have got wrong is refused while building, before any work is done.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pyrovp.analysis import Gates, channel_report, infer_channels, infer_gates, report
from pyrovp.data import DataError, GeneratedVideos, KeyedVideos, Split, batches
from pyrovp.describe import count_parameters, describe, unseen_levels
from pyrovp.draw import (
    channels_png,
    curves_png,
    levels_png,
    predictions_gif,
    predictions_png,
    training_png,
)
from pyrovp.draw.hierarchy import draw_hierarchy
from pyrovp.environment import environment
from pyrovp.evaluation import EVALUATION_BATCH, Results, evaluate
from pyrovp.metrics import Protocol, render, ssim_preset
from pyrovp.state_space import StateSpace
from pyrovp.train.build import brief, choose_device, device_name, make, make_guide
from pyrovp.train.captured import CapturedUpdate
from pyrovp.train.checkpoint import Checkpoints
from pyrovp.train.errors import RunError
from pyrovp.train.initial import initial_weights
from pyrovp.train.log import Log, check_tensorboard, read_rows
from pyrovp.train.loop import Cadence, fit
from pyrovp.train.optimiser import Warmup, adam
from pyrovp.train.precision import precision
from pyrovp.train.processes import Processes
from pyrovp.train.randomness import seed_noise, undisturbed
from pyrovp.train.recompute import recompute
from pyrovp.train.run_directory import RunDirectory, fingerprint
from pyrovp.train.sentences import channel_sentences, clip_sentences, event_sentences
from pyrovp.train.settings import Settings, check_settings
from pyrovp.train.update import Update

__all__ = ["Experiment"]


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
        self.processes = Processes.present()
        self.device = choose_device(settings.device, self.processes.local)
        train, test = settings.train, settings.evaluate
        # Its own part of the key: three seeds see three training sets and one test set.
        self.training: KeyedVideos = make("data", settings.data, split="train", seed=settings.seed)
        self.validation: KeyedVideos | None = None
        if train.validate_sequences:
            self.validation = self._held_out("validation", train.validate_sequences)
        length = test.context + test.horizon
        self.testing = self._held_out("test", test.sequences, length=length)
        self.protocol = Protocol(
            "run", test.context, test.horizon, test.samples, ssim_preset(test.ssim), test.clip
        )
        seed_noise(settings.seed, 0, torch.device("cpu"))
        self.model: Any = make("model", settings.model)
        self.guide: Any = make_guide(settings.guide, self.model)
        self.objective: nn.Module = make(
            "objective",
            settings.objective,
            model=self.model,
            guide=self.guide,
            elbo=make("elbo", settings.elbo),
        ).to(self.device)
        self.started_from = initial_weights(settings.init_from, self.objective)
        self.directory = RunDirectory(
            Path(settings.out), model_name, data_name, self._identity(), settings.seed
        )
        self._check_frames()
        self.precision = precision(train.precision, self.device)
        with self._inside():  # refuses networks whose activations cannot be made again
            self._try_one_clip()

    def _held_out(self, split: Split, size: int, **given: int) -> KeyedVideos:
        """A split that is not trained on: `size` clips, or all where there are fewer."""
        test = self.settings.evaluate
        which = {
            "validation": "train.validate_sequences=0 trains without a validation",
            "test": f"evaluate.context={test.context} and evaluate.horizon={test.horizon} make "
            "the test clips",
        }
        try:
            return make("data", self.settings.data, split=split, size=size, **given)
        except DataError as error:
            raise ValueError(f"{error} ({which[split]})") from error

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """What a step of training is taken in."""
        frames = self.settings.train.recompute
        again = recompute(self.objective, frames=frames) if frames else nullcontext()
        with self.precision.inside(), again:
            yield

    def _identity(self) -> dict[str, Any]:
        """What names the run: the settings, and what files hold that the settings only name."""
        identity = asdict(self.settings)
        if not isinstance(self.training, GeneratedVideos):
            identity["material"] = dict(self.training.rules())
        if self.started_from is not None:
            identity["init_from"] = self.started_from.key  # the same weights, wherever they lie
        return identity

    def _check_frames(self) -> None:
        """What the model takes as given, and what only leads its guide, leaves frames to model."""
        hierarchy, test = getattr(self.model, "hierarchy", None), self.settings.evaluate
        if not isinstance(hierarchy, StateSpace):
            return
        try:
            hierarchy.takes(test.context)
        except ValueError as error:
            raise ValueError(f"evaluate.context={test.context}: {error}") from error
        try:
            hierarchy.scored(test.context + test.horizon)
        except ValueError as error:
            raise ValueError(
                f"evaluate.context={test.context} and evaluate.horizon={test.horizon} make the "
                f"test clips: {error}"
            ) from error
        norms = any(isinstance(part, _BatchNorm) for part in self.objective.modules())
        train = self.settings.train
        parts = train.accumulate * self.processes.ranks
        if norms and train.batch == parts:
            raise ValueError(
                f"train.batch={train.batch} in {parts} part{'s' * (parts > 1)}, but this model's "
                f"BatchNorms need more than one sequence for their statistics; use "
                f"train.batch={2 * parts} or more"
            )
        if norms and test.batch_statistics and len(self.testing) % EVALUATION_BATCH == 1:
            raise ValueError(
                f"{len(self.testing)} test clips (evaluate.sequences={test.sequences}) leave a "
                f"batch of one sequence (of {EVALUATION_BATCH} at a time), which has no batch "
                "statistics; use evaluate.batch_statistics=false, or another number"
            )

    def _try_one_clip(self) -> None:
        """Model, guide, bound and data have to fit together."""
        given, made = self.settings.channels, self.training.channels
        if given != made:
            raise ValueError(
                f"channels={given}, but the frames of {self.names[1]} have {made}; leave channels "
                f"to the data set, or set data.channels where it has that key"
            )
        try:
            with self._looking():  # one clip has no batch statistics
                self.objective(self.training[0]["video"][None].to(self.device))
        except (ValueError, TypeError, AttributeError, IndexError, RuntimeError) as error:
            text = str(error).partition("\nTrace Shapes:")[0]  # Pyro's table of sites follows
            raise ValueError(f"the parts of this run do not fit together: {text}") from error

    def introduction(self) -> str:
        """What this run is, for its first lines."""
        (model, data), settings = self.names, self.settings
        sections = "data model guide elbo objective optimiser train evaluate".split()
        lines = [f"{model} on {data}: {self.training.source}", ""]
        lines += [f"{name:10}{brief(asdict(settings)[name])}" for name in sections]
        threads = f", {torch.get_num_threads()} threads" if self.device.type == "cpu" else ""
        lines += ["", describe(self.model, self.guide)]
        many = f", {self.processes.ranks} processes" if self.processes.ranks > 1 else ""
        lines += [f"device            {device_name(self.device)}{threads}{many}", ""]
        if self.started_from is not None:
            lines += [f"weights of {self.started_from}"]
        lines += [f"seed {settings.seed}, folder {self.directory.path}"]
        if unseen := unseen_levels(self.model, settings.evaluate.context):
            lines.append(f"note: {unseen}")
        lines += [f"note: {fewer}" for fewer in self._fewer()]
        return "\n".join(lines)

    def _fewer(self) -> Iterator[str]:
        """Where a split has fewer clips than the settings ask for."""
        asked = {
            "train.validate_sequences": (self.settings.train.validate_sequences, self.validation),
            "evaluate.sequences": (self.settings.evaluate.sequences, self.testing),
        }
        for key, (wanted, videos) in asked.items():
            if videos is not None and len(videos) < wanted:
                yield f"{key}={wanted}, but {videos.split} has {len(videos)} clips: all are used"

    def run(self, say: Callable[[str], None] = print) -> None:
        """Trains, evaluates and draws, as far as that is not yet done.

        Args:
            say: Told what happens, in lines.

        Raises:
            RunError: If another process works in the folder, or it cannot be written.
        """
        if not self.processes.main:
            self._assist()
            return
        try:
            with self.directory.lock():
                self._run(say)
        except OSError as error:
            raise RunError(
                f"cannot write {error.filename or self.directory.path} ({error.strerror}); make "
                f"room, or choose another folder with out=..., and the same command goes on"
            ) from error

    def _run(self, say: Callable[[str], None]) -> None:
        """All of it, in the process that writes."""
        if self.settings.force:
            self.directory.clear()
        if self._together(self._finished(say)):
            return
        say(self.introduction())
        self.directory.write_text("config.yaml", OmegaConf.to_yaml(asdict(self.settings)))
        if isinstance(getattr(self.model, "hierarchy", None), StateSpace):
            draw_hierarchy(self.model, self.guide, path=self.directory.path / "hierarchy.png")
        checkpoints = Checkpoints(self.directory.checkpoints, self._built_from(), say)
        trained = self._train(checkpoints)
        step, results = self._evaluate(checkpoints, trained)
        self._report(results, step, say)
        done = {"steps": trained, "evaluate": asdict(self.settings.evaluate)}
        self.directory.write_json("done.json", done | {"splits": self._splits()})

    def _assist(self) -> None:
        """What the other processes do: they train and predict along, and write nothing."""
        if self._together(False):
            return
        checkpoints = Checkpoints(self.directory.checkpoints, self._built_from(), lambda _: None)
        self._evaluate(checkpoints, self._train(checkpoints))

    def _together(self, finished: bool) -> bool:
        """Whether the run is finished, as the main process says, once it is the same run for all.

        Raises:
            RunError: If it is not.
        """
        name = self.directory.path.parent.name
        self.processes.agree(
            name,
            f"the processes of this run have different settings or data: the main one's run is "
            f"{self.processes.first(name)}; give all of them the same command, and the same "
            f"files where they look for data",
        )
        self.processes.see(self.directory.path)
        return self.processes.first(finished)

    def _built_from(self) -> str:
        return fingerprint(asdict(self.settings))

    def _finished(self, say: Callable[[str], None]) -> bool:
        done, settings = self.directory.done(), self.settings
        if done is None or done["steps"] < settings.train.steps:
            return False
        if done["evaluate"] != asdict(settings.evaluate):
            say(f"trained to {done['steps']} steps already; evaluating with the new settings")
            return False
        splits = self._splits()
        if done.get("splits", splits)["test"] != splits["test"]:  # early runs did not say
            say(f"trained to {done['steps']} steps already; evaluating on the new test videos")
            return False
        say(
            f"{self.directory.path} is finished: {done['steps']} steps trained and evaluated. "
            f"Nothing to do; force=true starts over, a train.steps above {done['steps']} goes on"
        )
        return True

    def _train(self, checkpoints: Checkpoints) -> int:
        settings, train = self.settings, self.settings.train
        optimiser, processes = settings.optimiser, self.processes
        cadence = Cadence(
            train.log_every, train.validate_every, train.checkpoint_every, train.checkpoint_seconds
        )
        log = Log(self.directory.path, train.tensorboard) if processes.main else Log(bar=False)
        eager = Update(
            self.objective,
            adam(self.objective.parameters(), optimiser),
            clip=optimiser.clip,
            processes=processes,
            accumulate=train.accumulate,
            inside=self._inside,
        )
        captured = train.capture and self.device.type == "cuda"
        return fit(
            CapturedUpdate(eager, log.say) if captured else eager,
            self._batches,
            train.steps,
            seed=settings.seed,
            rate=Warmup(optimiser.lr, optimiser.warmup_from, optimiser.warmup_steps),
            cadence=cadence,
            validation=None if self.validation is None else Videos(self.validation, train.batch),
            checkpoints=checkpoints,
            log=log,
            processes=processes,
            skip=train.skip_nonfinite,
        )

    def _batches(self, step: int) -> Iterator[Tensor]:
        train = self.settings.train
        pinned = self.device.type == "cuda"
        made = batches(
            self.training,
            train.batch,
            step,
            train.workers,
            rank=self.processes.rank,
            ranks=self.processes.ranks,
            pin_memory=pinned,
        )
        return (batch["video"] for batch in made)

    def _evaluate(self, checkpoints: Checkpoints, step: int) -> tuple[int, Results]:
        """The step that the chosen weights are from, and what they predict."""
        if self.settings.evaluate.checkpoint == "best":
            step = checkpoints.load_best(self.objective).step
        return step, evaluate(
            self.model,
            self.guide,
            self.testing,
            self.training,
            self.protocol,
            sequences=self.settings.evaluate.sequences,
            seed=self.settings.seed,
            batch_norms=self.settings.evaluate.batch_statistics,
            processes=self.processes,
        )

    def _report(self, results: Results, step: int, say: Callable[[str], None]) -> None:
        """Writes figures and pictures and prints the table."""
        # A model that takes all of a context as given infers nothing there.
        blank = results.given >= results.table["protocol"]["context"]
        gates = self._gates() if results.gated or blank else None
        events, channels = self._events(results, gates), self._channels()
        inside = {**events, "channels": channel_report(channels)}
        kl, raster = results.kl, results.gates if results.gated else None
        if blank and gates is not None:
            inside["whole_clips"] = _whole_clips(results.gated, gates)
            kl = {n: gates.kl[:, n - 1] for n in results.kl}
            raster = gates.e if results.gated else None
        self.directory.write_json("metrics.json", self._facts(step) | results.summary() | inside)
        films = vars(results.films)
        pictures: dict[str, Callable[[Path], None]] = {
            "predictions.png": lambda path: predictions_png(path, **films),
            "predictions.gif": lambda path: predictions_gif(path, **films),
            "curves.png": lambda path: curves_png(path, results.table),
            "levels.png": lambda path: levels_png(path, kl, raster),
            "channels.png": lambda path: channels_png(path, channels),
        }
        if rows := read_rows(self.directory.path / "metrics.jsonl"):
            pictures["training.png"] = lambda path: training_png(path, rows)
        for name, draw in pictures.items():
            draw(self.directory.path / name)
        sentences = [
            *results.sentences(),
            *event_sentences(events),
            *clip_sentences(inside.get("whole_clips", {})),
            *channel_sentences(inside["channels"]),
        ]
        say("\n".join(["", render(results.table), *sentences, "", "pictures:"]))
        say("\n".join(f"  {self.directory.path / name}" for name in pictures))

    def _gates(self) -> Gates:
        """Gates and KLs of the test clips, inferred from all their frames."""
        with self._looking():
            parts = [
                infer_gates(self.model, self.guide, video.to(self.device))
                for video in Videos(self.testing, self.settings.train.batch)
            ]
        return Gates(*(torch.cat(part).cpu() for part in zip(*parts, strict=True)))

    def _events(self, results: Results, gates: Gates | None) -> dict[str, Any]:
        """Gates against the true changes, where the data set knows them and a level has one."""
        if gates is None or not results.gated or "change" not in self.testing[0]["states"]:
            return {}
        known = batches(self.testing, self.settings.train.batch)
        return {"events": report(gates, torch.cat([b["states"]["change"] for b in known]))}

    def _channels(self) -> dict[int, Tensor]:
        """KL per latent channel of each level, over the test clips."""
        with self._looking():
            parts = [
                infer_channels(self.model, self.guide, video.to(self.device))
                for video in Videos(self.testing, self.settings.train.batch)
            ]
        return {level: torch.cat([part[level] for part in parts]) for level in parts[0]}

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """Without a trace: no gradient, noise by seed, and the networks as they predict."""
        self.objective.eval()
        try:
            with undisturbed(), torch.no_grad():
                seed_noise(self.settings.seed, 0, self.device)
                yield
        finally:
            self.objective.train()

    def _facts(self, step: int) -> dict[str, Any]:
        """What the figures belong to."""
        model, data = self.names
        return {
            "model": model,
            "data": data,
            "source": self.testing.source,
            "training_set": self.training.fingerprint(),
            "test_set": self.testing.fingerprint(),
            "splits": self._splits(),
            "seed": self.settings.seed,
            "step": step,
            "weights": self.settings.evaluate.checkpoint,
            "parameters": count_parameters(self.objective),
            "environment": environment(self.device),
        }

    def _splits(self) -> dict[str, str | None]:
        """Hashes of the material: figures compare only where that of the test is the same."""
        validation = None if self.validation is None else self.validation.split_hash()
        return {
            "train": self.training.split_hash(),
            "validation": validation,
            "test": self.testing.split_hash(),
        }


def _whole_clips(gated: tuple[int, ...], gates: Gates) -> dict[str, Any]:
    """What is inferred from all frames of a clip: KLs, and rates of change after the first."""
    modelled = gates.e[0, 0] > 0  # level 1 changes at every frame that is modelled
    first = int(modelled.nonzero()[0]) + 1
    last = int(modelled.nonzero()[-1]) + 1
    return {
        "kl_per_sequence": {
            f"z_{n + 1}": gates.kl[:, n].sum(1).mean().item() for n in range(gates.kl.shape[1])
        },
        "change_rate": {
            f"e_{level}": gates.e[:, level - 1, first:last].mean().item() for level in gated
        },
    }
