"""A question to a trained run: load it, ask, draw, and say what was found.

    runs/NAME/seed0 + settings -> model, guide, clips -> findings -> analyses/NAME/

        findings.json     written last: settings, weights, figures, words, tables
        *.png *.gif *.csv what it shows

An answer is not sought again while the question, the clips and the weights are the same.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import fill
from typing import Any, Literal, cast

import torch

from pyrovp import __version__
from pyrovp.analysis import Analysis, Clips, Findings
from pyrovp.analysis.record import finite, record
from pyrovp.data import KeyedVideos, batches
from pyrovp.draw import draw
from pyrovp.environment import environment
from pyrovp.errors import RunError, remedy
from pyrovp.evaluation import weights_hash
from pyrovp.files import atomic_write
from pyrovp.randomness import seed_noise, undisturbed
from pyrovp.runs.build import make
from pyrovp.runs.trained import load
from pyrovp.words import counted

__all__ = ["Inquiry", "InquirySettings"]

_RECORD = "findings.json"


@dataclass
class InquirySettings:
    """What is asked, of which runs and clips.

    Args:
        analysis: The question, as `_target_` and arguments.
        runs: Folders of the runs that are asked.
        clips: Held-out clips.
        length: Frames of a clip; None: as many as the run was evaluated on.
        context: Frames given where something is predicted; None: as in the run's evaluation.
        seed: Key of the noise.
        weights: "last", or "best" on validation data.
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:1".
        force: Whether to ask again although the answer is there.
    """

    analysis: Any
    runs: list[str] = field(default_factory=list)
    clips: int = 16
    length: int | None = None
    context: int | None = None
    seed: int = 0
    weights: str = "last"
    device: str = "auto"
    force: bool = False

    def __post_init__(self) -> None:
        for name, least in (("clips", 1), ("length", 2), ("context", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, got {value}")
        if self.weights not in ("last", "best"):
            raise ValueError(f"weights are last or best (on validation data), got {self.weights}")


class Inquiry:
    """A question that is ready to be asked of a run.

    Args:
        settings: What to ask.
        name: What the question is called; its folder in the run's.
        folder: Of the run.

    Raises:
        ValueError: If there is no such run, question or clips; says which and what to do.
    """

    def __init__(self, settings: InquirySettings, name: str, folder: str | Path) -> None:
        self.settings = settings
        self.name = name
        self.analysis: Analysis = make("analysis", settings.analysis)
        if not isinstance(self.analysis, Analysis):
            raise ValueError(
                f"analysis={name} makes a {type(self.analysis).__name__}, but a "
                "pyrovp.analysis.Analysis is needed, such as pyrovp.analysis.LevelKL"
            )
        weights = cast(Literal["last", "best"], settings.weights)
        self.run_asked = load(folder, weights=weights, device=settings.device)
        evaluated = self.run_asked.settings.evaluate
        self.context = _given(settings.context, evaluated.context)
        self.length = _given(settings.length, self.context + evaluated.horizon)
        if self.context >= self.length:
            raise ValueError(
                f"context={self.context} takes in all of clips of length={self.length}; use a "
                f"smaller context or longer clips"
            )
        self.videos: KeyedVideos = self.run_asked.videos(
            "test", size=settings.clips, length=self.length
        )
        self.path = self.run_asked.path / "analyses" / name

    def run(self, say: Callable[[str], None] = print) -> None:
        """Asks, as far as that is not yet done, and says what was found.

        Args:
            say: Told what happens, in lines.

        Raises:
            ValueError: If the question makes no sense for this model or these clips.
            RunError: If the folder cannot be written, or the clips are too many for the device.
        """
        run = self.run_asked
        identity = self._identity()
        found = None if self.settings.force else self._finished(identity)
        if found is None:
            few = f" (of {self.settings.clips})" if len(self.videos) < self.settings.clips else ""
            clips = counted(len(self.videos), "clip")
            say(
                f"{self.name} of {run.name} on {run.data}, trained for "
                f"{counted(run.step, 'step')}: {clips}{few} of {self.length} frames, "
                f"{self.context} of them "
                "given where something is predicted"
            )
            found = self._answered(identity, self._ask())
        else:
            say(
                f"{self.name} of {run.name} on {run.data} was asked before, with these settings "
                "and weights; force=true asks again"
            )
        say("\n".join(["", *found["sentences"], "", f"files in {self.path}:"]))
        names = [_RECORD, *(path.name for path in self._files(found))]
        say(fill(", ".join(names), 96, initial_indent="  ", subsequent_indent="  "))

    def _identity(self) -> dict[str, Any]:
        """What decides the answer."""
        run = self.run_asked
        return {
            "analysis": self.settings.analysis,
            "clips": len(self.videos),
            "length": self.length,
            "context": self.context,
            "seed": self.settings.seed,
            "weights": self.settings.weights,
            "step": run.step,
            "weights_hash": weights_hash(run.model, run.guide),
            "test_set": self.videos.fingerprint(),
            "split_hash": self.videos.split_hash(),
            "pyrovp": __version__,
        }

    def _finished(self, identity: Mapping[str, Any]) -> dict[str, Any] | None:
        """The answer that is there, if it is this question's and whole."""
        found = self._found()
        same = found is not None and found["asked"] == json.loads(json.dumps(identity))
        return found if same and all(path.is_file() for path in self._files(found)) else None

    def _found(self) -> dict[str, Any] | None:
        """The answer that is there, to whichever question."""
        try:
            found = json.loads((self.path / _RECORD).read_text())
            self._files(found)
            return found if {"asked", "sentences"} <= set(found) else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _files(self, found: Mapping[str, Any] | None) -> list[Path]:
        """Where an answer's exhibits are."""
        exhibits = {} if found is None else found["exhibits"]
        return [self.path / Path(f).name for shown in exhibits.values() for f in shown["files"]]

    def _clear(self) -> None:
        """Takes an old answer away, first what says that it is whole."""
        old = self._files(self._found())
        for path in [self.path / _RECORD, *old]:
            path.unlink(missing_ok=True)

    def _ask(self) -> Findings:
        run, device = self.run_asked, self.run_asked.device
        batch = next(batches(self.videos, len(self.videos)))
        states = {name: values.to(device) for name, values in batch["states"].items()}
        clips = Clips(batch["video"].to(device), self.context, states, self.videos.source)
        try:
            with undisturbed():
                seed_noise(self.settings.seed, 0, device)
                return self.analysis(run.model, run.guide, clips)
        except torch.OutOfMemoryError:
            raise RunError(
                f"{len(self.videos)} clips of {self.length} frames do not fit into the memory of "
                f"{device}; use fewer (clips={max(1, len(self.videos) // 2)}), shorter ones, or "
                "device=cpu"
            ) from None

    def _answered(self, identity: Mapping[str, Any], findings: Findings) -> dict[str, Any]:
        """Writes the answer, its record last."""
        try:
            self._clear()
            files = draw(findings.exhibits, self.path)
            run = self.run_asked
            found = {
                "analysis": self.name,
                "model": run.name,
                "data": run.data,
                "source": self.videos.source,
                "asked": dict(identity),
                "environment": environment(run.device),
            } | record(findings, files)
            with atomic_write(self.path / _RECORD) as temporary:
                temporary.write_text(json.dumps(finite(found), indent=2, allow_nan=False) + "\n")
        except OSError as error:
            raise RunError(
                f"cannot write to {error.filename or self.path} ({error.strerror or error}); "
                f"{remedy(error, 'copy the run to another folder')}"
            ) from None
        return found


def _given(asked: int | None, default: int) -> int:
    return default if asked is None else asked
