"""An evaluation of a run that is there: load it, predict, score, draw, and say what was found.

    runs/NAME/seed0 + settings -> protocol, measures, clips -> evaluations/PROTOCOL-HASH/

        metrics.json      written last: figures, what they belong to, words
        per_frame.csv     the score of every row at every predicted frame
        curves.png        the same, drawn
        best_worst.png    samples.gif
        shards/           scores of every sample, from which a killed evaluation goes on

HASH is the protocol's: figures are compared only under the same one. What is there is not made
again while protocol, metrics, weights, clips and noise are the same.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from textwrap import fill
from typing import Any, Literal, cast

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from tqdm import tqdm

from pyrovp import __version__
from pyrovp.analysis.record import finite
from pyrovp.data import DataError, KeyedVideos
from pyrovp.describe import count_parameters, unseen_levels
from pyrovp.environment import environment
from pyrovp.errors import RunError, remedy
from pyrovp.evaluation import Results, Shards, evaluate, key_of, weights_hash
from pyrovp.evaluation.chosen import FVD_CONTEXT, Weights, choose
from pyrovp.evaluation.futures import ROWS
from pyrovp.evaluation.protocols import metrics_of, resolved_protocol
from pyrovp.files import atomic_write
from pyrovp.metrics import Protocol, render, ssim_preset
from pyrovp.processes import Processes
from pyrovp.runs.build import device_name, make
from pyrovp.runs.evaluation_files import FILES, write_files
from pyrovp.runs.evaluation_settings import EvaluationSettings
from pyrovp.runs.trained import load
from pyrovp.words import counted

__all__ = ["RunEvaluation"]

_RECORD = "metrics.json"


class RunEvaluation:
    """An evaluation of a run that is ready to be made.

    Args:
        settings: How.
        folder: Of the run.

    Raises:
        ValueError: If there is no such run, protocol or metric, or they do not fit; says which
            and what to do.
    """

    def __init__(self, settings: EvaluationSettings, folder: str | Path) -> None:
        self.settings = settings
        self.processes = Processes.present()
        weights = cast(Literal["last", "best"] | None, settings.weights)
        self.trained = stored = load(folder, weights=weights, device=settings.device)
        own = stored.settings.evaluate
        self.weights = settings.weights or own.checkpoint
        self.seed = stored.settings.seed if settings.seed is None else settings.seed
        given = settings.batch_statistics
        self.batch_norms = own.batch_statistics if given is None else given
        self.protocol = resolved_protocol(
            settings.protocol,
            stored.data,
            Protocol(
                "own", own.context, own.horizon, own.samples, ssim_preset(own.ssim), own.clip
            ),
            context=settings.context,
            horizon=settings.horizon,
            samples=settings.samples,
            ssim=settings.ssim,
            clip=settings.clip,
        )
        self.wanted = settings.sequences or own.sequences
        self.testing = self._clips(self.wanted)
        self.training = stored.videos("train")
        context = settings.fvd_context
        wanted = list(enumerate(settings.metrics or metrics_of(settings.protocol)))
        self.own = [one for _, one in wanted if not isinstance(one, str)]
        self.chosen = choose(
            [one if isinstance(one, str) else make(f"metrics[{n}]", one) for n, one in wanted],
            self.protocol,
            self.testing,
            Weights(
                net=cast(Literal["alex", "vgg", "squeeze"], settings.lpips_net),
                lpips=settings.lpips_weights,
                i3d=settings.fvd_weights,
                fvd_context=settings.protocol in FVD_CONTEXT if context is None else context,
            ),
        )
        self._check_model()
        suffix = "-best" if self.weights == "best" else ""
        name = f"{settings.protocol}-{self.protocol.hash}{suffix}"
        self.path = stored.path / "evaluations" / name

    def introduction(self) -> str:
        """What is about to be done, for the first lines."""
        run, protocol = self.trained, self.protocol
        sequences, samples = len(self.testing), protocol.samples
        lines = [
            f"{run.name} on {run.data}, trained for {counted(run.step, 'step')} "
            f"({self.weights} weights)",
            f"protocol {protocol.name} ({protocol.hash}): context {protocol.context}, horizon "
            f"{protocol.horizon}, {samples} sample{'s' * (samples > 1)} of {sequences} "
            f"sequence{'s' * (sequences > 1)}; on {device_name(run.device)}",
        ]
        if sequences < self.wanted:
            clips = counted(sequences, "clip")
            lines.append(f"note: the test set has {clips}, {self.wanted} were asked for")
        if unseen := unseen_levels(run.model, protocol.context):
            lines.append(f"note: {unseen}")
        return "\n".join(
            [*lines, *(f"note: {name} {why}" for name, why in self.chosen.absent.items())]
        )

    def run(self, say: Callable[[str], None] = print) -> dict[str, Any]:
        """Evaluates, as far as that is not yet done, and says what was found.

        Args:
            say: Told what happens, in lines.

        Returns:
            The content of `metrics.json`.

        Raises:
            RunError: If the folder cannot be written, or the rows are too many for the device.
        """
        run, asked, processes = self.trained, self._asked(), self.processes
        processes.agree(
            asked["key"],
            f"the processes of this command do not find the same weights and test clips in "
            f"{run.path}, or do not run on the same kind of device",
        )
        if not processes.main:
            say = _silent
        found = processes.first(None if self.settings.force else self._finished(asked))
        if found is None:
            say(self.introduction())
            found = self._made(asked)
        else:
            say(
                f"{run.name} on {run.data} was evaluated before, with this protocol and these "
                "weights; force=true does it again"
            )
        say("\n".join(["", render(found), *found["sentences"], "", f"files in {self.path}:"]))
        say(fill(", ".join((_RECORD, *FILES)), 96, initial_indent="  ", subsequent_indent="  "))
        return found

    def _clips(self, size: int) -> KeyedVideos:
        """The test clips: so many, or all where there are fewer."""
        context, horizon = self.protocol.context, self.protocol.horizon
        try:
            return self.trained.videos("test", length=context + horizon, size=size)
        except DataError as error:
            raise ValueError(
                f"{error} (context={context} and horizon={horizon} make the test clips)"
            ) from error

    def _check_model(self) -> None:
        run, settings = self.trained, self.settings
        try:
            run.model.hierarchy.takes(self.protocol.context)
        except ValueError as error:
            raise ValueError(f"context={self.protocol.context}: {error}") from error
        norms = any(isinstance(part, _BatchNorm) for part in (*run.model.modules(),
                                                              *run.guide.modules()))  # fmt: skip
        if norms and self.batch_norms and len(self.testing) % settings.batch == 1:
            raise ValueError(
                f"{len(self.testing)} test clips leave a batch of one sequence (of "
                f"{settings.batch} at a time), which has no batch statistics; use "
                "batch_statistics=false, or another number (sequences=...)"
            )

    def _asked(self) -> dict[str, Any]:
        """What decides the figures; all but the number of sequences decides each of them."""
        run, settings = self.trained, self.settings
        device = run.device.type
        decides = {
            "protocol": self.protocol.hash,
            "metrics": [*self.chosen.identities(), *self.own],
            "weights": weights_hash(run.model, run.guide),
            "step": run.step,
            # The clips themselves, however many of them are used.
            "test": self._clips(1).fingerprint(),
            "training": self.training.fingerprint(),
            "training_clips": settings.training_clips,
            "seed": self.seed,
            "batch": settings.batch,
            "rows": settings.rows or ROWS.get(device, ROWS["cpu"]),
            "batch_statistics": self.batch_norms,
            "device": device,
            "pyrovp": __version__,
        }
        return {
            "key": key_of(decides),
            **decides,
            "sequences": len(self.testing),
            "pictures": settings.pictures,
            "absent": sorted(self.chosen.absent),
        }

    def _finished(self, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        """The figures that are there, if they are these and whole."""
        try:
            found = json.loads((self.path / _RECORD).read_text())
        except (OSError, ValueError):
            return None
        same = isinstance(found, dict) and found.get("asked") == json.loads(json.dumps(asked))
        return found if same and all((self.path / name).is_file() for name in FILES) else None

    def _made(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Evaluates and writes everything, the record last."""
        shards = Shards(self.path / "shards", str(asked["key"]))
        try:
            with self.processes.main_first():
                if self.processes.main:
                    (self.path / _RECORD).unlink(missing_ok=True)
                    if self.settings.force:
                        shutil.rmtree(shards.folder, ignore_errors=True)
            results = self._evaluate(shards)
            found = self._record(asked, results)
            if not self.processes.main:
                return found
            title = (
                f"{self.trained.name} on {self.trained.data}, {counted(self.trained.step, 'step')}"
            )
            drawn = self._compared() or list(results.table["labels"])
            write_files(self.path, results, title, max(1, self.settings.pictures), drawn)
            with atomic_write(self.path / _RECORD) as temporary:
                temporary.write_text(json.dumps(found, indent=2, allow_nan=False) + "\n")
            shards.drop_others()
        except OSError as error:
            raise RunError(
                f"cannot write to {error.filename or self.path} ({error.strerror or error}); "
                f"{remedy(error, 'copy the run to another folder')}"
            ) from None
        return found

    def _evaluate(self, shards: Shards) -> Results:
        run, settings = self.trained, self.settings
        compared = self._compared()
        processes, clips = self.processes, len(self.testing)
        starts = range(processes.rank * settings.batch, clips, processes.ranks * settings.batch)
        share = sum(min(settings.batch, clips - start) for start in starts)
        # On a terminal only: a log would get a line for every step of the bar.
        hidden = None if processes.main else True
        futures = share * self.protocol.samples
        try:
            with tqdm(total=futures, unit=" futures", disable=hidden, leave=False) as bar:
                results = evaluate(
                    run.model,
                    run.guide,
                    self.testing,
                    self.training,
                    self.protocol,
                    measures=self.chosen.frames,
                    clip_measures=self.chosen.clips,
                    batch=settings.batch,
                    rows=settings.rows,
                    training_clips=settings.training_clips,
                    films=max(1, settings.pictures),
                    show=compared[0] if compared else None,
                    seed=self.seed,
                    batch_norms=self.batch_norms,
                    shards=shards,
                    done=bar.update,
                    processes=processes,
                )
        except torch.OutOfMemoryError:
            raise RunError(
                f"the futures do not fit into the memory of {run.device}; use fewer at a time "
                f"(rows={settings.batch}, or a smaller batch), or device=cpu"
            ) from None
        return replace(results, absent={**self.chosen.absent, **results.absent})

    def _compared(self) -> list[str]:
        """The metrics of which more, or less, is better."""
        return [measure.name for measure in self.chosen.frames if measure.better != "one"]

    def _record(self, asked: Mapping[str, Any], results: Results) -> dict[str, Any]:
        """What `metrics.json` holds: as a run's own, and what was asked."""
        run = self.trained
        facts = {
            "model": run.name,
            "data": run.data,
            "source": self.testing.source,
            "training_set": self.training.fingerprint(),
            "test_set": self.testing.fingerprint(),
            "splits": {
                "train": self.training.split_hash(),
                "validation": None,
                "test": self.testing.split_hash(),
            },
            "seed": run.settings.seed,
            "step": run.step,
            "weights": self.weights,
            "parameters": count_parameters(run.model, run.guide),
            "asked": dict(asked),
            "environment": environment(run.device),
            "sentences": [*results.sentences(), *results.outlook(), *_missing(results)],
        }
        return cast(dict[str, Any], finite(facts | results.summary()))


def _silent(text: str) -> None:
    """What is told to processes that do not print."""


def _missing(results: Results) -> list[str]:
    """Which metrics were not measured; the reasons are long, and in the record."""
    names = ", ".join(results.absent)
    return [f"not measured: {names} ({_RECORD} says why)"] if names else []
