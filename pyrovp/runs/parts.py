"""What a run consists of, built from its settings: data, model, guide, objective.

Everything that a user may have got wrong is refused here, before any work is done: settings that
build nothing, frames that a model does not model, parts that do not fit together.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pyrovp.data import DataError, GeneratedVideos, KeyedVideos, Split, batches
from pyrovp.evaluation import EVALUATION_BATCH
from pyrovp.metrics import Protocol, ssim_preset
from pyrovp.processes import Processes
from pyrovp.randomness import seed_noise, undisturbed
from pyrovp.runs.build import choose_device, make, make_guide
from pyrovp.runs.initial import begun_from, initial_weights
from pyrovp.runs.settings import Settings, check_settings
from pyrovp.state_space import StateSpace
from pyrovp.train.precision import precision
from pyrovp.train.recompute import recompute

__all__ = ["Parts", "Videos"]


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


class Parts:
    """What the settings of a run build, tried on one clip.

    Args:
        settings: What to build.
        model_name, data_name: What the run is called.
        processes: Those that train together.

    Raises:
        ValueError: If the settings do not make a run; says which one and what to do.

    Attributes:
        training, validation, testing: The three splits; no validation where none is asked for.
        protocol: What the test clips are scored under.
        model, guide, objective: The two programs, and the module that trains both.
        started_from: Whose weights they have; None: their own first ones.
    """

    def __init__(
        self, settings: Settings, model_name: str, data_name: str, processes: Processes
    ) -> None:
        check_settings(settings)
        self.settings = settings
        self.names = model_name, data_name
        self.processes = processes
        self.device = choose_device(settings.device, processes.local)
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
        self.started_from = begun_from(settings, model_name, data_name)
        if self.started_from is None:
            self.started_from = initial_weights(settings, self.objective)
        self._check_frames()
        self.precision = precision(train.precision, self.device)
        with self.inside():  # refuses networks whose activations cannot be made again
            self._try_one_clip()

    @contextmanager
    def inside(self) -> Iterator[None]:
        """What a step of training is taken in."""
        frames = self.settings.train.recompute
        again = recompute(self.objective, frames=frames) if frames else nullcontext()
        with self.precision.inside(), again:
            yield

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Without a trace: no gradient, noise by seed, and the networks as they predict."""
        self.objective.eval()
        try:
            with undisturbed(), torch.no_grad():
                seed_noise(self.settings.seed, 0, self.device)
                yield
        finally:
            self.objective.train()

    def identity(self) -> dict[str, Any]:
        """What names the run: the settings, and what files hold that the settings only name."""
        identity = asdict(self.settings)
        if not isinstance(self.training, GeneratedVideos):
            identity["material"] = dict(self.training.rules())
        if self.started_from is not None:
            identity["init_from"] = self.started_from.key  # the same weights, wherever they lie
        return identity

    def splits(self) -> dict[str, str | None]:
        """Hashes of the material: figures compare only where that of the test is the same."""
        validation = None if self.validation is None else self.validation.split_hash()
        return {
            "train": self.training.split_hash(),
            "validation": validation,
            "test": self.testing.split_hash(),
        }

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
            raise DataError(f"{error} ({which[split]})") from error

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
            with self.looking():  # one clip has no batch statistics
                self.objective(self.training[0]["video"][None].to(self.device))
        except (ValueError, TypeError, AttributeError, IndexError, RuntimeError) as error:
            text = str(error).partition("\nTrace Shapes:")[0]  # Pyro's table of sites follows
            raise ValueError(f"the parts of this run do not fit together: {text}") from error
