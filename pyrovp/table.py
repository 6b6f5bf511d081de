"""`python -m pyrovp.table`: which system is made of which primitives, as a page of Markdown.

The rows are read off the systems as they are built, at the sizes of their papers, so the page
cannot say anything that the code does not do: `python -m pyrovp.table > docs/systems.md`.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from itertools import groupby

import torch

from pyrovp import guides, models
from pyrovp.cells import Memory
from pyrovp.describe import count_parameters, gate_name
from pyrovp.heads import Latent
from pyrovp.outline import sized
from pyrovp.programs import LatentDynamics

__all__ = ["INFERRED", "MADE", "SYSTEMS", "main", "page", "table"]

SYSTEMS: dict[str, Callable[[], LatentDynamics]] = {
    "cwvae": models.cwvae,
    "tald": models.tald,
    "notmpabs": models.notmpabs,
    "rssm": models.rssm,
    "dlh": partial(models.dlh, std=0.2),
    "hvrnn": models.hvrnn,
    "vrnn": models.vrnn,
    "svg_lp": models.svg_lp,
    "vta": models.vta,
}
"""How each is built; DLH's paper does not give its std."""

MADE = ("system", "clock [frames]", "gate", "memory", "state", "wiring", "parameters")
"""Columns of what a model is made of, and how large it is with its guide."""

INFERRED = ("system", "posterior", "evidence", "emission")
"""Columns of what a guide sees, and of how frames are made."""

PAGE = """\
# Systems and primitives

This page is the output of `python -m pyrovp.table`: it is read off the systems as they are built.
Values stand from level 1, the fastest, upwards; where all levels have the same, once. `h_2` is the
memory of level 2, `z_2` its state, `c_2` the context it hands down.

{made}

What the guide infers each level's state from, and what makes frames of the contexts or states:

{inferred}

`tald` is `cwvae` trained with other settings.

## Look at one

```python
import torch

import pyrovp
from pyrovp import guides, models

model = models.dlh(std=0.2, levels=2, memory=8, state=4, resolution=32, width=0.25)
guide = guides.dlh(model)
print(pyrovp.describe(model, guide))  # levels, who reads what, parameters
pyrovp.draw_hierarchy(model, guide, path="hierarchy.svg", frames=8)  # also .png, .pdf
graph = pyrovp.render(model, torch.rand(1, 3, 1, 32, 32))  # path="sites.svg" draws it
```

The last line is Pyro's own picture of the random choices of a clip of a few frames. It needs the
package `graphviz` (`pip install graphviz`); `graph.source` is the graph as text, and to draw it
the program `dot` of Graphviz is needed as well. `pyro.render_model` itself works on models and
guides, too; where beliefs are computed for a whole clip at once (levels that read frames) it draws
arrows from later frames which are not there.
"""


def page() -> str:
    """The whole page."""
    return PAGE.format(made=table(MADE), inferred=table(INFERRED))


def table(columns: Sequence[str]) -> str:
    """A table alone, in Markdown.

    Args:
        columns: `MADE` or `INFERRED`.
    """
    rows = [[_cells(name)[column] for column in columns] for name in SYSTEMS]
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@cache
def _cells(name: str) -> dict[str, str]:
    """What is said of a system, by column."""
    with torch.device("meta"):  # sizes only
        model = SYSTEMS[name]()
        guide = getattr(guides, name)(model)
    space, seen = model.hierarchy, guide.outline()
    outline, levels = space.outline(), space.levels
    gates = [gate_name(level.gate) for level in levels]
    named = {gate: [str(n) for n, own in enumerate(gates, 1) if own == gate] for gate in gates}
    gated = [f"{gate} on {', '.join(at)}" for gate, at in named.items() if gate]
    return {
        "system": f"`{name}`",
        "clock [frames]": ", ".join(str(level.clock.period) for level in levels),
        "gate": "; ".join(gated) or "-",
        "memory": _kinds([level.memory for level in levels]),
        "state": _kinds([level.state for level in levels]),
        "wiring": outline.wiring,
        "parameters": f"{count_parameters(model, guide):,}",
        "posterior": _once(one.posterior for one in seen),
        "evidence": _once(one.evidence for one in seen),
        "emission": outline.emission,
    }


def _kinds(parts: Sequence[Memory | Latent]) -> str:
    """Kinds with their sizes, from level 1 upwards."""
    kinds = groupby(parts, lambda part: type(part).__name__)
    return "; ".join(
        f"{kind} {', '.join(dict.fromkeys(sized(part.output) for part in same))}"
        for kind, same in kinds
    )


def _once(values: Iterable[str]) -> str:
    """Values from level 1 upwards, one where they are all the same."""
    listed = list(values)
    return "; ".join(listed if len(set(listed)) > 1 else listed[:1])


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the page; see --help."""
    parser = argparse.ArgumentParser(
        prog="python -m pyrovp.table",
        description="Prints which system is made of which primitives, as a page of Markdown.",
    )
    parser.parse_args(arguments)
    print(page(), end="")


if __name__ == "__main__":
    main()
