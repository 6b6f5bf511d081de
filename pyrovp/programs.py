r"""The two Pyro programs of a latent hierarchy: its model and its filtering guide.

    model    p(z, e, x) = Π_t [ Π_n p(e_t^n | past) p(z_t^n | e_t^n, past, above) ] p(x_t | c_t)
    guide    q(z, e | x): the same walk, with posteriors where there is evidence

Both are plain modules: parameters are torch's, the global parameter store stays empty.
"""

from collections.abc import Callable, Collection, Sequence

import pyro
import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp import sites
from pyrovp.checks import check_video
from pyrovp.evidence import Ladder, encode, whole_windows, windows
from pyrovp.hierarchy import Hierarchy
from pyrovp.memo import memo
from pyrovp.nets.mlp import MLP
from pyrovp.posteriors import OwnHead, PosteriorHead
from pyrovp.state import State

__all__ = ["PLATE", "Filtering", "LatentDynamics"]

PLATE = "sequences"


class LatentDynamics(nn.Module):
    """The generative program of a hierarchy: latents frame by frame, then all frames at once.

    Args:
        hierarchy: The composition.

    Example:
        >>> model(video)                        # scores a video      # doctest: +SKIP
        >>> model(length=100, batch=8)          # draws one           # doctest: +SKIP
    """

    def __init__(self, hierarchy: Hierarchy) -> None:
        super().__init__()
        _check_hierarchy("LatentDynamics", hierarchy)
        self.hierarchy = hierarchy

    def forward(
        self, video: Tensor | None = None, *, length: int | None = None, batch: int | None = None
    ) -> Tensor:
        """Runs the program and returns the frames [B, T, C, H, W].

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
            state: State = memo(self.hierarchy.initial)(batch)
            contexts = []
            for t in range(length):
                state = self.hierarchy.step(t, state)
                contexts.append(state[0].c)
            frames = self.hierarchy.emit(contexts)
            made = frames.event_shape[-3:]
            if video is not None and video.shape[-3:] != made:  # channels would broadcast
                raise ValueError(
                    f"the video's frames are {list(video.shape[-3:])} (channels, height, width), "
                    f"but this model makes {list(made)}"
                )
            return pyro.sample(sites.FRAMES, frames, obs=video)


class Filtering(nn.Module):
    """A guide that walks with its model and infers each level from its window of frames.

    Args:
        hierarchy: The model's hierarchy; memories, contexts, gates and encoder are shared.
        lift: Hidden widths of the networks that lift the features from level to level.
        features: Size of the lifted features; None: as the encoder's.
        activation: Of the lifts' hidden layers.
        posterior: What turns a level's view and its evidence into a belief.
    """

    def __init__(
        self,
        hierarchy: Hierarchy,
        *,
        lift: Sequence[int] = (200,),
        features: int | None = None,
        activation: Callable[[Tensor], Tensor] = F.elu,
        posterior: PosteriorHead | None = None,
    ) -> None:
        super().__init__()
        _check_hierarchy("Filtering", hierarchy)
        self.hierarchy = hierarchy
        kind = OwnHead() if posterior is None else posterior
        sizes = [int(hierarchy.encoder.features)]  # type: ignore[arg-type]
        sizes += [features or sizes[0]] * (len(hierarchy.levels) - 1)
        self.ladder = Ladder(
            [MLP(a, lift, b, activation) for a, b in zip(sizes, sizes[1:], strict=False)]
        )
        heads = []
        for level, dynamics, size in zip(hierarchy.levels, hierarchy.parts, sizes, strict=True):
            kind.check(dynamics.shows, dynamics.head)
            heads.append(kind.build(level.state, dynamics.shows, size))
        self.heads = nn.ModuleList(heads)

    def forward(
        self, video: Tensor, *, ends: bool = True, blind: Collection[int] = frozenset()
    ) -> None:
        """Draws the latents of a video's frames.

        Args:
            video: [B, T, C, H, W].
            ends: Whether the clip ends here. True: a window that reaches past it is padded.
                False (a context to be continued): such a tick follows its prior.
            blind: Levels (from 1) that follow their prior, while the others infer given that.

        Raises:
            ValueError: If the video is malformed or `blind` names a level that is not there.
        """
        check_video(video)
        count = len(self.hierarchy.levels)
        if not set(blind) <= set(range(1, count + 1)):
            raise ValueError(f"blind levels {sorted(blind)} are not all within 1 to {count}")
        posterior = _Evidence(self, video, ends, blind)
        with pyro.plate(PLATE, video.shape[0], dim=-1):
            state: State = memo(self.hierarchy.initial)(video.shape[0])
            for t in range(video.shape[1]):
                state = self.hierarchy.step(t, state, posterior)


def _check_hierarchy(who: str, given: object) -> None:
    if not isinstance(given, Hierarchy):
        hint = "; this model has one: model.hierarchy" if hasattr(given, "hierarchy") else ""
        raise ValueError(f"{who} needs a Hierarchy, got a {type(given).__name__}{hint}")


class _Evidence:
    """The guide's posteriors for one video; what depends on frames only is done here, once."""

    def __init__(
        self, guide: Filtering, video: Tensor, ends: bool, blind: Collection[int]
    ) -> None:
        self.heads = tuple(guide.heads)
        self.periods = [level.clock.period for level in guide.hierarchy.levels]
        features = memo(encode)(guide.hierarchy.encoder, video)
        self.ticks: list[Sequence[Tensor]] = []
        for n, (rung, period) in enumerate(zip(guide.ladder(features), self.periods, strict=True)):
            early = self.heads[n].early(windows(rung, period))  # type: ignore[operator]
            ticks = early.unbind(1)
            if not ends:
                ticks = ticks[: whole_windows(video.shape[1], period)]
            self.ticks.append(() if n + 1 in blind else ticks)

    def belief(self, n: int, t: int, shown: tuple[Tensor, ...], trunk: nn.Module) -> Tensor | None:
        i = t // self.periods[n]
        if i >= len(self.ticks[n]):
            return None
        return memo(self.heads[n])(*shown, self.ticks[n][i], trunk)
