r"""Wiring: what a level's memory and heads see, and what it hands down.

Two families, by where the context c of the level above joins:

    at the cell (CW-VAE):          h_t = cell([z_{t-1}, c], h_{t-1})     prior(h_t)
    at the heads (DLH, HVRNN):     h_t = cell(z_{t-1}, h_{t-1})          prior([h_t, c])

The second moves on before the levels above have drawn, which is what lets a gate compare, and what
lets a memory that reads frames instead of its own state be known for a whole clip in advance.
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.cells import Cell, FromContext
from pyrovp.checks import check_count
from pyrovp.heads import Head
from pyrovp.levels import Level
from pyrovp.memo import memo
from pyrovp.nets.gathered import linear
from pyrovp.nets.joint import Joint
from pyrovp.outline import LevelOutline, Value
from pyrovp.sizes import Size
from pyrovp.state import Context

__all__ = ["Dense", "Dynamics", "Parent", "TopDown", "Wiring"]


class Wiring(abc.ABC):
    """Describes how levels are connected; builds each level's dynamics."""

    @abc.abstractmethod
    def dynamics(
        self, level: Level, above: "Dynamics | None", seen: Size | None = None
    ) -> "Dynamics":
        """The dynamics of a level.

        Args:
            level: Its description.
            above: The level above; None at the top.
            seen: Size of the frame's features that its memory reads; None: it reads its own state.

        Raises:
            ValueError: If the level's parts do not suit this wiring.
        """

    def handed(self, n: int, depth: int) -> tuple[Value, ...]:
        """Names of what level n of `depth` is handed from above; n = 0: the emission."""
        return (Value("c", n + 1),) if n < depth else ()


class Dynamics(nn.Module, abc.ABC):
    """One level's side of the generative program.

    At a tick the hierarchy calls, bottom-up, `advance`, and then, top-down once the level above
    has drawn, `join`, `prior` and, with the drawn z, `context`.

    Attributes:
        hands_down: Sizes of the parts of the context c given to the level below.
        receives: Sizes of the parts of the context from above (zeros at the top).
        shows: Sizes of what a posterior sees of the level, beside the evidence.
        knows: Sizes of what a gate sees of the level before the levels above have drawn.
        cell: The memory's cell.
        head: The prior's head, which a posterior may share.

    `advance` and `join` move the memory; the rest see `h`, what `cell.read` gives of it.
    """

    hands_down: tuple[Size, ...]
    receives: tuple[Size, ...]
    shows: tuple[Size, ...]
    knows: tuple[Size, ...]
    cell: Cell
    head: Head

    def advance(self, memory: Tensor, taken: Tensor) -> Tensor:
        """The memory after taking in the last state, or the frame before; c is not yet known."""
        return memory

    def join(self, memory: Tensor, z: Tensor, c: Context) -> Tensor:
        """The memory after taking in the last state and the context c of this tick."""
        return memory

    @abc.abstractmethod
    def prior(self, h: Tensor, c: Context) -> Tensor:
        """Packed parameters [..., 2Z] of p(z | h, c)."""

    @abc.abstractmethod
    def shown(self, h: Tensor, c: Context) -> tuple[Tensor, ...]:
        """What a posterior sees of the level."""

    @abc.abstractmethod
    def known(self, h: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        """What a gate sees of the level."""

    @abc.abstractmethod
    def context(self, z: Tensor, h: Tensor, c: Context) -> Context:
        """What the level hands down."""

    def outline(self, level: Level, n: int, handed: tuple[Value, ...]) -> LevelOutline:
        """Who reads what at this level.

        Args:
            level: Its description.
            n: Its number.
            handed: What it is handed from above.
        """
        state, memory = Value("z", n, True), Value("h", n)
        taken = state if level.reads is None else Value("x", last=True)
        at_cell = self._at_cell
        known = (state, memory._replace(last=True)) if at_cell else (memory,)
        return LevelOutline(
            level,
            takes=(taken, *(handed if at_cell else ())),
            predicts=(memory, *handed[: len(self.head.sizes) - 1]),
            decides=() if level.gate is None else level.gate.reads(known, state),
            starts=isinstance(level.memory.start, FromContext),
        )

    def shown_as(self, n: int, handed: tuple[Value, ...]) -> tuple[Value, ...]:
        """Names of what `shown` gives."""
        return (Value("h", n),) if self._at_cell else handed[: len(self.shows)]

    @property
    def _at_cell(self) -> bool:
        return type(self).join is not Dynamics.join


@dataclass(frozen=True)
class Parent(Wiring):
    """Each level sees the state and memory of the one above, joined at its cell.

    Reference:
        Clockwork Variational Autoencoders (Saxena, Ba, Hafner, 2021), Section 2.

    Example:
        >>> from pyrovp import GRU, Gaussian
        >>> level = Level(memory=GRU(8), state=Gaussian(2))
        >>> Parent().dynamics(level, above=None).hands_down  # z and h
        (2, 8)
    """

    def dynamics(
        self, level: Level, above: "Dynamics | None", seen: Size | None = None
    ) -> "Dynamics":
        """The dynamics of a level; the top one receives zeros of its own context's sizes."""
        if seen is not None:
            raise ValueError(
                "a memory that reads the frame before takes in nothing else, but the wiring "
                "Parent() joins the level above at the cell; use Dense(), or TopDown()"
            )
        own = (level.state.output, level.memory.output)
        return _AtCell(level, own if above is None else above.hands_down)

    def handed(self, n: int, depth: int) -> tuple[Value, ...]:
        """The parent's state and memory."""
        return (Value("z", n + 1), Value("h", n + 1)) if n < depth else ()


class _AtCell(Dynamics):
    """h = cell([z_prev, c], h);  prior(h);  c below = (z, h)."""

    def __init__(self, level: Level, receives: tuple[Size, ...]) -> None:
        super().__init__()
        state, memory = level.state.output, level.memory.output
        self.receives = receives
        self.hands_down = (state, memory)
        self.shows = (memory,)
        self.knows = (state, memory)
        self.cell = level.memory.cell(state, *receives)
        self.head = level.state.head(memory)

    def join(self, memory: Tensor, z: Tensor, c: Context) -> Tensor:
        # c stands still between the ticks of the level above, and so does its share.
        return self.cell.step(memory, z, early=memo(self.cell.early)(*c))

    def prior(self, h: Tensor, c: Context) -> Tensor:
        return self.head(h)

    def shown(self, h: Tensor, c: Context) -> tuple[Tensor, ...]:
        return (h,)

    def known(self, h: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        return (z, h)

    def context(self, z: Tensor, h: Tensor, c: Context) -> Context:
        return (z, h)


@dataclass(frozen=True)
class TopDown(Wiring):
    """A deterministic context runs down the hierarchy and joins at the heads.

        c^n = MLP([z^n, c^{n+1}]),  c^{N+1} = 0

    c^n is what level n hands down; the paper's c^n is our c^{n+1}.

    Reference:
        Long-Horizon Video Prediction Using a Dynamic Latent Hierarchy (Zakharov, Guo, Fountas,
        2022), Eq. 11 to 14.

    Args:
        width: Size of the context and of the network's hidden layer.
        activation: Of the hidden layer.

    Raises:
        ValueError: For a width that is no whole number from 1 on.

    Example:
        >>> from pyrovp import GRU, Gaussian
        >>> level = Level(memory=GRU(8), state=Gaussian(2))
        >>> TopDown(width=16).dynamics(level, above=None).hands_down
        (16,)
    """

    width: int = 200
    activation: Callable[[Tensor], Tensor] = F.elu

    def __post_init__(self) -> None:
        check_count("TopDown's width", self.width)

    def dynamics(
        self, level: Level, above: "Dynamics | None", seen: Size | None = None
    ) -> "Dynamics":
        """The dynamics of a level; the top one receives zeros."""
        if not isinstance(level.state.output, int):
            raise ValueError(
                f"the wiring TopDown() hands down a vector, but a state is {level.state}; use "
                "Gaussian(size), or the wiring Dense(), which keeps maps"
            )
        return _AtHeads(level, self, seen)


class _AtHeads(Dynamics):
    """h = cell(z_prev, h);  prior([h, c]);  c below = MLP([z, c])."""

    def __init__(self, level: Level, wiring: TopDown, seen: Size | None) -> None:
        super().__init__()
        state, memory, width = level.state.size, level.memory.output, wiring.width
        self.receives = self.hands_down = (width,)
        self.shows = (width,)
        self.knows = (memory,)
        self.activation = wiring.activation
        self.cell = level.memory.cell(state if seen is None else seen)
        self.head = level.state.head(memory, width)
        self.first = Joint((state, width), width)
        self.second = nn.Linear(width, width)

    def advance(self, memory: Tensor, taken: Tensor) -> Tensor:
        return self.cell.step(memory, taken)

    def prior(self, h: Tensor, c: Context) -> Tensor:
        return self.head(h, *c)

    def shown(self, h: Tensor, c: Context) -> tuple[Tensor, ...]:
        return c

    def known(self, h: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        return (h,)

    def context(self, z: Tensor, h: Tensor, c: Context) -> Context:
        hidden = self.activation(self.first(z, *c))
        return (linear(hidden, self.second.weight, self.second.bias),)


@dataclass(frozen=True)
class Dense(Wiring):
    """The states of the levels above join at the heads, enlarged to the level's resolution.

        prior([h^n, z^{n+1}, ..., z^L]);  the emission sees the states of all levels

    Reference:
        Improved Conditional VRNNs for Video Prediction (Castrejon, Ballas, Courville, 2019),
        Section 4.1.

    Args:
        reach: How many levels above a head sees; None: all of them (dense), 1: the parent alone.

    Raises:
        ValueError: For a reach that is no whole number from 1.

    Example:
        >>> from pyrovp import GRU, Gaussian
        >>> level = Level(memory=GRU(8), state=Gaussian(2))
        >>> top = Dense().dynamics(level, above=None)
        >>> Dense().dynamics(level, above=top).hands_down  # the states of both
        (2, 2)
    """

    reach: int | None = None

    def __post_init__(self) -> None:
        if self.reach is not None and (not isinstance(self.reach, int) or self.reach < 1):
            raise ValueError(
                "a head sees 1 or more levels above, a whole number, or all of them by "
                f"reach=None, got reach={self.reach!r}"
            )

    def dynamics(
        self, level: Level, above: "Dynamics | None", seen: Size | None = None
    ) -> "Dynamics":
        """The dynamics of a level; the top one receives nothing."""
        return _Dense(level, () if above is None else above.hands_down, self.reach, seen)

    def handed(self, n: int, depth: int) -> tuple[Value, ...]:
        """The states of all levels above, the nearest first."""
        return tuple(Value("z", above) for above in range(n + 1, depth + 1))


class _Dense(Dynamics):
    """h = cell(z_prev or the frame before, h);  prior([h, c]);  c below = (z, *c)."""

    def __init__(
        self, level: Level, receives: tuple[Size, ...], reach: int | None, seen: Size | None
    ) -> None:
        super().__init__()
        state, memory = level.state.output, level.memory.output
        self.reach = reach
        self.receives = receives
        self.hands_down = (state, *receives)
        self.shows = receives[:reach]
        self.knows = (memory,)
        self.cell = level.memory.cell(state if seen is None else seen)
        self.head = level.state.head(memory, *self.shows)

    def advance(self, memory: Tensor, taken: Tensor) -> Tensor:
        return self.cell.step(memory, taken)

    def prior(self, h: Tensor, c: Context) -> Tensor:
        return self.head(h, *c[: self.reach])

    def shown(self, h: Tensor, c: Context) -> tuple[Tensor, ...]:
        return c[: self.reach]

    def known(self, h: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        return (h,)

    def context(self, z: Tensor, h: Tensor, c: Context) -> Context:
        return (z, *c)
