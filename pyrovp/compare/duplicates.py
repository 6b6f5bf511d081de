"""One record for each run, protocol, set of clips and weights.

A run's own evaluation and the same by experiments/evaluate.py give the same scores, and so do
copies of a run in two folders.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pyrovp.compare.figures import Figures, LeftOut

__all__ = ["one_each"]

_NEAR = 1e-4  # relative: another number of threads gives other last digits


def one_each(figures: Iterable[Figures]) -> tuple[list[Figures], list[LeftOut]]:
    """Of two records of the same the one with more metrics.

    What only the other knows of the model's inside is kept.

    Returns:
        The records, and those of them that say something else than the one that was kept.
    """
    found: dict[tuple[Any, ...], Figures] = {}
    left_out: list[LeftOut] = []
    for one in figures:
        key = (
            one.run.parent.name, one.seed, one.protocol["hash"], one.clips, one.step, one.weights,
            one.batch_statistics,
        )  # fmt: skip
        other = found.get(key)
        if other is None:
            found[key] = one
            continue
        more, less = (one, other) if len(one.labels) > len(other.labels) else (other, one)
        found[key] = replace(more, inside={**less.inside, **more.inside})
        if not _agree(more, less):
            what = f"{less.run}, {less.protocol['name']} ({less.protocol['hash']})"
            reason = f"other scores than {more.run} has for the same seed, weights and clips"
            left_out.append(LeftOut(what, reason))
    return list(found.values()), left_out


def _agree(one: Figures, other: Figures) -> bool:
    """Whether two records have the same scores, as far as both have them."""
    pairs = [
        (score.mean, other.rows["model"][metric].mean)
        for metric, score in one.rows["model"].items()
        if one.labels[metric] == other.labels.get(metric)
    ]
    return all(math.isclose(a, b, rel_tol=_NEAR) or math.isnan(a) and math.isnan(b)
               for a, b in pairs)  # fmt: skip
