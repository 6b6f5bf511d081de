r"""The guide of a composition of levels: its model's walk, with posteriors where evidence is.

    q(z, e | x) = Π_t Π_n q(e_t^n | past, f_t^n) q(z_t^n | e_t^n, past, above, f_t^n)

f_t^n are features of the frames in level n's window around t. A level without evidence at a tick,
be it blind or its window cut off, follows its prior.
"""

from collections.abc import Callable, Collection, Sequence

import pyro
import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.checks import check_video
from pyrovp.evidence import Ladder, encode, features_of, whole_windows, windows
from pyrovp.gates import Gate
from pyrovp.hierarchy import Hierarchy
from pyrovp.levels import Level
from pyrovp.memo import memo
from pyrovp.nets.mlp import MLP
from pyrovp.outline import Inferred, sized
from pyrovp.posteriors import OwnHead, PosteriorHead, Twin
from pyrovp.programs import PLATE, check_hierarchy
from pyrovp.sizes import Size
from pyrovp.walk import walk

__all__ = ["Filtering", "check_blind"]


class Filtering(nn.Module):
    """A guide that walks with its model and infers each level from its window of frames.

    Args:
        hierarchy: The model's hierarchy; memories, contexts, gates and encoder are shared.
        lift: Hidden widths of the networks that lift the features from level to level, where a
            frame's features are one vector; of a pyramid every level takes its own resolution.
        features: Size of the lifted features; None: as the encoder's.
        activation: Of the lifts' hidden layers.
        posterior: What turns a level's view and its evidence into a belief; one for all levels,
            or one for each. None: `OwnHead()`, and `Twin()` for levels that read frames.

    Raises:
        ValueError: For what is no hierarchy or no posterior, or one that does not fit its level.

    Attributes:
        kinds: The posterior of each level.
        sizes: Size of a frame's features as each level's posterior sees them.

    Example:
        >>> from pyro import poutine
        >>> import torch
        >>> from pyrovp import models
        >>> model = models.rssm(state=2, memory=8, hidden=8, resolution=16, width=0.1)
        >>> guide = Filtering(model.hierarchy, lift=(8,))
        >>> trace = poutine.trace(guide).get_trace(torch.rand(2, 3, 1, 16, 16))
        >>> [name for name in trace.stochastic_nodes if name.startswith("z")]
        ['z_1_0', 'z_1_1', 'z_1_2']
    """

    def __init__(
        self,
        hierarchy: Hierarchy,
        *,
        lift: Sequence[int] = (200,),
        features: int | None = None,
        activation: Callable[[Tensor], Tensor] = F.elu,
        posterior: PosteriorHead | Sequence[PosteriorHead] | None = None,
    ) -> None:
        super().__init__()
        check_hierarchy("Filtering", hierarchy, Hierarchy)
        self.hierarchy = hierarchy
        self.kinds = kinds = tuple(_kinds(posterior, hierarchy.levels))
        self.ladder: Ladder | None = None
        own = features_of(hierarchy.encoder)
        sizes: Sequence[Size]
        if isinstance(own, dict):
            sizes = [hierarchy.evidence_size(level) for level in hierarchy.levels]
        else:
            sizes = rungs = [own, *[features or own] * (len(hierarchy.levels) - 1)]
            self.ladder = Ladder(
                [MLP(a, lift, b, activation) for a, b in zip(rungs, rungs[1:], strict=False)]
            )
        self.sizes = tuple(sizes)
        heads = []
        for kind, level, part, size in zip(
            kinds, hierarchy.levels, hierarchy.parts, sizes, strict=True
        ):
            kind.check(part.shows, part.head)
            heads.append(kind.build(level, part.shows, size, hierarchy.given))
        self.heads = nn.ModuleList(heads)

    def evidence(self, video: Tensor) -> list[Tensor]:
        """Features of each level, [B, T, ...]."""
        features = memo(encode)(self.hierarchy.encoder, video)
        if self.ladder is not None:
            return self.ladder(features)
        return [self.hierarchy.evidence(level, features) for level in self.hierarchy.levels]

    def outline(self) -> tuple[Inferred, ...]:
        """What it does for each level."""
        hierarchy, levels = self.hierarchy, self.hierarchy.levels
        inferred = []
        for n, (kind, level) in enumerate(zip(self.kinds, levels, strict=True), 1):
            period, handed = level.clock.period, hierarchy.wiring.handed(n, len(levels))
            what = "the frame" if period == 1 else f"the sum over {period} frames"
            inferred.append(
                Inferred(
                    posterior=type(kind).__name__,
                    evidence=f"{what} ({sized(self.sizes[n - 1])})",
                    sees=hierarchy.parts[n - 1].shown_as(n, handed),
                    frames=period,
                    memory=kind.memory,
                    gate="" if level.gate is None else _rule(level.gate),
                )
            )
        return tuple(inferred)

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
        check_blind(blind, len(self.hierarchy.levels))
        frames = self.hierarchy.scored(video.shape[1])
        posterior = _Evidence(self, video, ends, blind)
        with pyro.plate(PLATE, video.shape[0], dim=-1):
            walk(self.hierarchy, video, frames, posterior)


def check_blind(blind: object, levels: int) -> None:
    """Refuses what is no collection of numbers of levels, which count from 1.

    Raises:
        ValueError: For that.
    """
    known = range(1, levels + 1)
    if not isinstance(blind, Collection) or not all(level in known for level in blind):
        raise ValueError(
            f"blind levels {blind!r} are not all within 1 to {levels}; give a list such as [1]"
        )


def _rule(gate: Gate) -> str:
    """How a guide infers it; a gate without a rule decides by itself."""
    return type(gate if gate.rule is None else gate.rule).__name__


def _kinds(
    posterior: PosteriorHead | Sequence[PosteriorHead] | None, levels: Sequence[Level]
) -> Sequence[PosteriorHead]:
    if posterior is None:
        return [OwnHead() if level.reads is None else Twin() for level in levels]
    if isinstance(posterior, PosteriorHead):
        return [posterior] * len(levels)
    if not isinstance(posterior, Sequence) or not all(
        isinstance(kind, PosteriorHead) for kind in posterior
    ):
        raise ValueError(
            "a posterior is an object such as OwnHead() or Twin(), one for all levels or a list "
            f"with one for each, got {posterior!r}"
        )
    if len(posterior) != len(levels):
        raise ValueError(
            f"{len(posterior)} posteriors were given for {len(levels)} levels; give one for each, "
            "or a single one"
        )
    return posterior


class _Evidence:
    """The guide's posteriors for one video; what depends on frames only is done here, once."""

    def __init__(
        self, guide: Filtering, video: Tensor, ends: bool, blind: Collection[int]
    ) -> None:
        hierarchy = guide.hierarchy
        self.given = hierarchy.given
        self.heads = tuple(guide.heads)
        self.periods = [level.clock.period for level in hierarchy.levels]
        self.early: list[Tensor | None] = []
        self.ticks: list[Sequence[Tensor]] = []
        for n, (rung, period) in enumerate(zip(guide.evidence(video), self.periods, strict=True)):
            early = None
            if n + 1 not in blind:
                seen, given = rung[:, self.given :], rung[:, : self.given]
                early = self.heads[n].early(windows(seen, period), given)  # type: ignore[operator]
            self.early.append(early)
            ticks = () if early is None else early.unbind(1)
            if not ends:
                ticks = ticks[: whole_windows(video.shape[1] - self.given, period)]
            self.ticks.append(ticks)

    def belief(self, n: int, t: int, shown: tuple[Tensor, ...], trunk: nn.Module) -> Tensor | None:
        i = (t - self.given) // self.periods[n]
        if i >= len(self.ticks[n]):
            return None
        return memo(self.heads[n])(*shown, self.ticks[n][i], trunk)

    def beliefs(self, n: int, shown: tuple[Tensor, ...], trunk: nn.Module) -> Tensor | None:
        early = self.early[n]
        return None if early is None else memo(self.heads[n])(*shown, early, trunk)
