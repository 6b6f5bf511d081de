r"""The two Pyro programs of a latent hierarchy. Here is its model; its guide is `Filtering`.

    model    p(z, e, x) = Π_t [ Π_n p(e_t^n | past) p(z_t^n | e_t^n, past, above) ] p(x_t | c_t)
    guide    q(z, e | x): the same walk, with posteriors where there is evidence

Frames that are given (HVRNN, SVG, VTA) condition both and are neither drawn nor scored.

Both are plain modules: parameters are torch's, the global parameter store stays empty.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

import pyro
import pyro.distributions as dist
from torch import Tensor, nn

from pyrovp import sites
from pyrovp.checks import check_frame_shape, check_video
from pyrovp.hierarchy import Hierarchy
from pyrovp.state_space import StateSpace

__all__ = [
    "PLATE",
    "LatentDynamics",
    "check_hierarchy",
    "check_model",
    "check_pair",
    "check_same",
]

PLATE = "sequences"

S_co = TypeVar("S_co", bound=StateSpace, covariant=True)


class LatentDynamics(nn.Module, Generic[S_co]):
    """The generative program: latents frame by frame, and all frames at once.

    Args:
        hierarchy: The composition, a `Hierarchy` or another `StateSpace`; its type is the model's,
            as in `LatentDynamics[Hierarchy]`.

    Example:
        >>> from pyrovp import models
        >>> model = models.rssm(state=2, memory=8, hidden=8, resolution=16, width=0.1)
        >>> model(length=5, batch=2).shape  # draws a video; model(video) scores one
        torch.Size([2, 5, 1, 16, 16])
    """

    __call__: Callable[..., Tensor]  # as `forward`; nn.Module's own says Any

    def __init__(self, hierarchy: S_co) -> None:
        super().__init__()
        check_hierarchy("LatentDynamics", hierarchy, StateSpace)
        self.hierarchy = hierarchy

    def forward(
        self, video: Tensor | None = None, *, length: int | None = None, batch: int | None = None
    ) -> Tensor:
        """Runs the program and returns the frames that are modelled, [B, T, C, H, W].

        Where the model starts from given frames, these are the ones after them.

        Args:
            video: Observed frames [B, T, C, H, W]; None: frames are drawn.
            length, batch: T and B, where no video is given.

        Raises:
            ValueError: If the video is malformed or its frames are not of the model's shape, or
                without one T and B are not both given, at least 1.
        """
        if video is not None:
            check_video(video)
            batch, length = video.shape[:2]
        if batch is None or length is None:
            raise ValueError("give a video to score, or the length and batch of one to draw")
        if batch < 1 or length < 1:
            raise ValueError(f"length and batch are at least 1, got {length} and {batch}")
        with pyro.plate(PLATE, batch, dim=-1):
            if video is None:
                return pyro.sample(sites.FRAMES, self._drawn(length, batch))
            scored = self.scored(length)
            _, frames = self.hierarchy.follow(video, scored)
            # Channels would broadcast.
            check_frame_shape(video.shape[-3:], frames.event_shape[-3:])
            observed = video if len(scored) == length else video[:, scored.start : scored.stop]
            return pyro.sample(sites.FRAMES, frames, obs=observed)

    def scored(self, length: int) -> range:
        """The frames of a clip of this length that are modelled; see `StateSpace.scored`."""
        return self.hierarchy.scored(length)

    def _drawn(self, length: int, batch: int) -> dist.TorchDistribution:
        hierarchy = self.hierarchy
        if hierarchy.given or not isinstance(hierarchy, Hierarchy):
            raise ValueError(
                "this model continues given frames and draws nothing without them: use "
                "pyrovp.predict.open_loop(model, guide, context, horizon)"
            )
        state, states = hierarchy.initial(batch), []
        for t in range(length):
            state = hierarchy.step(t, state)
            states.append(state)
        return hierarchy.emit(states)


def check_model(model: object) -> None:
    """Refuses what is no model, such as a model's hierarchy.

    Raises:
        ValueError: For that.
    """
    if not isinstance(model, LatentDynamics):
        raise ValueError(
            "a model is needed, such as pyrovp.models makes, or LatentDynamics(hierarchy), got a "
            f"{type(model).__name__}"
        )


_ANOTHER = (
    "this guide belongs to another model: the two must share one hierarchy, as in "
    "guides.dlh(model) or Filtering(model.hierarchy); copy both together"
)


def check_pair(model: object, guide: object) -> None:
    """Refuses two programs that do not share one hierarchy, with its memories and its encoder.

    Raises:
        ValueError: For what is no model, or a guide of another one.
    """
    check_model(model)
    if getattr(guide, "hierarchy", None) is not getattr(model, "hierarchy", None):
        raise ValueError(_ANOTHER)


def check_same(model: object, guide: object) -> None:
    """Refuses a guide of another model; programs without a hierarchy pass.

    Raises:
        ValueError: If each has a hierarchy of its own.
    """
    ours, theirs = (getattr(program, "hierarchy", None) for program in (model, guide))
    if ours is not None and theirs is not None and ours is not theirs:
        raise ValueError(_ANOTHER)


def check_hierarchy(who: str, given: object, kind: type) -> None:
    """Refuses what is no hierarchy, such as a model that has one.

    Args:
        who: Who needs it, for the message.
        given: What came.
        kind: `Hierarchy` or `StateSpace`.

    Raises:
        ValueError: For another thing.
    """
    if not isinstance(given, kind):
        hint = "; this model has one: model.hierarchy" if hasattr(given, "hierarchy") else ""
        needed = "Hierarchy" if kind is Hierarchy else "Hierarchy, or another StateSpace"
        raise ValueError(f"{who} needs a {needed}, got a {type(given).__name__}{hint}")
