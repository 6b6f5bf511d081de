r"""When does the ball change its colour in what is predicted, and when did it truly?

    change_t = the colour shown at t is another than the one last shown before

counted at the predicted frames, the first of which is compared with the last given one. The rate
is how often that is; F1 matches the changes with the true ones (`pyrovp.analysis.events`). Changes
at a wall follow from the past and can be predicted. Those that come at random cannot: there a good
model has the true rate, and no more F1 than chance.
"""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pyrovp.analysis.events import chance_f1, event_f1
from pyrovp.analysis.findings import Table
from pyrovp.metrics.colours import shown_changes

__all__ = ["change_table", "colour_changes"]


def colour_changes(
    shown: Mapping[str, Tensor], colour: Tensor, context: int
) -> dict[str, dict[str, float | None]]:
    """Rates of change and their F1, by whose frames they are.

    Args:
        shown: Colours shown at the predicted frames, -1 where there is none; S futures of a clip
            follow each other.
        colour: The true ones at all frames.
        context: How many frames were given, at least 1.

    Shapes:
        shown: name -> [B * S, horizon]
        colour: [B, T]

    Returns:
        By name: `rate` and `true_rate` per frame, `f1` and `chance_f1` (of as many changes at
        random frames); None where there are no changes at all.
    """
    facts = {}
    for name, colours in shown.items():
        known = colour.to(colours.device).repeat_interleave(len(colours) // len(colour), 0)
        before = known[:, context - 1]
        true = shown_changes(known[:, context : context + colours.shape[1]], before).cpu()
        found = shown_changes(colours, before).cpu()
        facts[name] = {
            "rate": found.double().mean().item(),
            "true_rate": true.double().mean().item(),
            "f1": _defined(event_f1(found, true)),
            "chance_f1": _defined(chance_f1(found, true)),
        }
    return facts


def change_table(changes: Mapping[str, Mapping[str, Any]]) -> Table:
    """What `colour_changes` found."""
    columns = {
        "rate": "changes of colour per frame",
        "true_rate": "true changes",
        "f1": "F1",
        "chance_f1": "F1 of random changes at its rate",
    }
    rows = [[name, *(fact[key] for key in columns)] for name, fact in changes.items()]
    return Table("Changes of the colour that is shown", ["frames", *columns.values()], rows)


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value
