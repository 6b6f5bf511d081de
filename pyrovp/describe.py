"""A model in a few lines of text: its levels from the slowest down, who reads what, its weights.

level  ticks           gate                       memory   state
2      every 4 frames  MixtureGate(KLComparison)  GRU 200  Gaussian 20
1      every frame     -                          GRU 200  Gaussian 20

level   memory takes in  gate sees  z predicted from  z inferred from
2       last z_2         h_2        h_2               OwnHead of the sum over 4 frames (200)
1       last z_1         -          h_1, c_2          OwnHead of the frame (200), c_2
frames  c_1

wiring    TopDown, contexts c of 200
encoder   DCGANEncoder, 200 features
emission  GaussianFrames(DCGANDecoder, std 0.2)

model parameters  encoder 1,234 + dynamics 1,134 + ... = 12,345
guide parameters  ladder 80 + heads 420 = 500
in total          12,845
"""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from torch import nn

from pyrovp.gates import Gate
from pyrovp.levels import Level
from pyrovp.outline import Inferred, Outline, named, sized
from pyrovp.state_space import StateSpace

__all__ = ["count_parameters", "describe", "gate_name", "inferences", "unseen_levels"]


def describe(model: nn.Module, guide: nn.Module | None = None) -> str:
    """The hierarchy as a table, who reads what, then the parameters of each part and in total.

    Args:
        model: A model, or its hierarchy; any other module is described by its parts alone.
        guide: Says what beliefs are inferred from. Its own parts are listed after the model's;
            what it shares is counted once.

    Example:
        >>> from pyrovp import models
        >>> model = models.rssm(state=2, memory=8, hidden=8, resolution=16, width=0.1)
        >>> print(describe(model).splitlines()[1])
        1      every frame  -     GRU 8   Gaussian 2
    """
    lines: list[str] = []
    space = model if isinstance(model, StateSpace) else getattr(model, "hierarchy", None)
    if isinstance(space, StateSpace):
        outline, inferred = space.outline(), inferences(guide)
        lines += [*_table(space.levels), "", *_readers(outline, inferred), "", *_joined(outline)]
        lines += ["" for _ in lines[-1:] if lines[-1]]
    return "\n".join([*lines, *_parameters(model, guide)])


def inferences(guide: nn.Module | None) -> tuple[Inferred, ...]:
    """What a guide says it does for each level; a guide of one's own may say nothing."""
    outline = getattr(guide, "outline", None)
    return () if outline is None else outline()


def count_parameters(*modules: nn.Module) -> int:
    """Number of parameters, each counted once however many modules share it."""
    shared = {id(p): p.numel() for module in modules for p in module.parameters()}
    return sum(shared.values())


def gate_name(gate: Gate | None) -> str:
    """A gate and its rule; "" for no gate."""
    if gate is None:
        return ""
    inside = "" if gate.rule is None else f"({type(gate.rule).__name__})"
    return type(gate).__name__ + inside


def unseen_levels(model: nn.Module, context: int) -> str | None:
    """A sentence about the levels that learn nothing from a context of so many frames.

    A tick whose window reaches beyond the context follows its prior; a level without a whole
    window has seen nothing.

    Args:
        model: With a `hierarchy`.
        context: Number of given frames.

    Returns:
        None where every level has at least one whole window, or there is nothing to infer.
    """
    hierarchy = getattr(model, "hierarchy", None)
    levels, given = getattr(hierarchy, "levels", ()), getattr(hierarchy, "given", 0)
    slow = [n for n, level in enumerate(levels, 1) if level.clock.period > context - given]
    if not slow or context <= given:  # a context that is given as a whole is meant to be
        return None
    period = levels[slow[-1] - 1].clock.period
    many = len(slow) > 1
    have, their = ("have", "their") if many else ("has", "its")
    return (
        f"level{'s' * many} {', '.join(map(str, slow))} {have} no whole window within a context "
        f"of {context} frames and will follow {their} prior; give a context of at least "
        f"{period + given} frames to let every level see something"
    )


def _table(levels: Sequence[Level]) -> Iterator[str]:
    rows = [("level", "ticks", "gate", "memory", "state")]
    for n, level in reversed(list(enumerate(levels, 1))):
        period, memory, state = level.clock.period, level.memory, level.state
        rows.append((
            str(n),
            "every frame" if period == 1 else f"every {period} frames",
            gate_name(level.gate) or "-",
            f"{type(memory).__name__} {sized(memory.output)}",
            f"{type(state).__name__} {sized(state.output)}",
        ))  # fmt: skip
    yield from _aligned(rows)


def _readers(outline: Outline, inferred: Sequence[Inferred]) -> Iterator[str]:
    """Who reads what, as a table, without the columns that hold nothing."""
    rows = [("level", "memory takes in", "gate sees", "z predicted from", "z inferred from")]
    pairs = zip_longest(outline.levels, inferred)
    for n, (one, seen) in reversed(list(enumerate(pairs, 1))):
        belief = "-" if seen is None else ", ".join(
            [f"{seen.posterior} of {seen.evidence}", *map(str, seen.sees)]
        )  # fmt: skip
        given = " (starts from the given frames)" if one.starts else ""
        takes = named(one.takes) + given
        rows.append((str(n), takes, named(one.decides), named(one.predicts), belief))
    rows.append(("frames", named(outline.emits), "-", "-", "-"))
    columns = [column for column in zip(*rows, strict=True) if set(column[1:]) != {"-"}]
    last = ["" if cell == "-" else cell for cell in rows[-1]]
    yield from _aligned([*zip(*(column[:-1] for column in columns), strict=True), last])


def _joined(outline: Outline) -> Iterator[str]:
    given = f"frames that condition the model: {outline.given}"
    tail = f"last frames of a training clip, seen by the guide alone: {outline.tail}"
    for name, text in (
        ("wiring", outline.wiring),
        ("encoder", outline.encoder),
        ("emission", outline.emission),
        ("given", given if outline.given else ""),
        ("tail", tail if outline.tail else ""),
    ):
        if text:
            yield f"{name:8}  {text}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    for row in rows:
        yield "  ".join(map(str.ljust, row, widths)).rstrip()


def _parameters(model: nn.Module, guide: nn.Module | None) -> Iterator[str]:
    modules = [model] if guide is None else [model, guide]
    seen: set[int] = set()
    for owner, module in zip(("model", "guide"), modules, strict=False):
        parts = _parts(module, seen)
        own = sum(count for _, count in parts)
        listed = " + ".join(f"{name} {count:,}" for name, count in parts)
        yield f"{owner} parameters  {listed} = {own:,}" if parts else f"{owner} parameters  0"
    if guide is not None:
        yield f"in total          {count_parameters(*modules):,}"


def _parts(module: nn.Module, seen: set[int]) -> list[tuple[str, int]]:
    """Parts with their parameters, leaving out those already `seen`."""
    if len(list(module.named_children())) == 1 and not list(module.parameters(recurse=False)):
        return _parts(next(module.children()), seen)
    parts = [(name, list(child.parameters())) for name, child in module.named_children()]
    parts.append(("own", list(module.parameters(recurse=False))))
    counts = []
    for name, parameters in parts:
        new = {id(p): p.numel() for p in parameters if id(p) not in seen}
        seen.update(new)
        if new:
            counts.append((name, sum(new.values())))
    return counts
