"""A model in a few lines of text: its levels from the slowest down, and where its weights are.

level  ticks           gate                       memory   state
2      every 4 frames  MixtureGate(KLComparison)  GRU 200  Gaussian 20
1      every frame     -                          GRU 200  Gaussian 20

parameters  encoder 1,234 + dynamics (567 + 567) + ... = 12,345
"""

from collections.abc import Iterator, Sequence

from torch import nn

from pyrovp.cells import Memory
from pyrovp.heads import Latent
from pyrovp.levels import Level
from pyrovp.sizes import Map

__all__ = ["count_parameters", "describe", "unseen_levels"]


def describe(model: nn.Module, guide: nn.Module | None = None) -> str:
    """The hierarchy as a table, then the parameters of each part and in total.

    Args:
        model: With a `hierarchy`; any other module is described by its parts alone.
        guide: Its own parts are listed after the model's; what it shares is counted once.
    """
    hierarchy = getattr(model, "hierarchy", None)
    table = [] if hierarchy is None else [*_table(hierarchy.levels), ""]
    return "\n".join([*table, *_parameters(model, guide)])


def count_parameters(*modules: nn.Module) -> int:
    """Number of parameters, each counted once however many modules share it."""
    shared = {id(p): p.numel() for module in modules for p in module.parameters()}
    return sum(shared.values())


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
        period, gate = level.clock.period, level.gate
        rule = getattr(gate, "rule", None)
        rows.append((
            str(n),
            "every frame" if period == 1 else f"every {period} frames",
            "-" if gate is None else _name(gate) + (f"({_name(rule)})" if rule else ""),
            _sized(level.memory),
            _sized(level.state),
        ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
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


def _sized(part: Memory | Latent) -> str:
    """Its kind and size: a vector's length, or a map's channels and place."""
    size = part.output
    place = f" x {size.resolution} x {size.resolution}" if isinstance(size, Map) else ""
    return f"{_name(part)} {part.size}{place}"


def _name(value: object) -> str:
    return type(value).__name__
