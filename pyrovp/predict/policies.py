"""Prediction policies: handlers that change how a model continues, not the model itself."""

import torch
from pyro.poutine.messenger import Messenger

from pyrovp import sites
from pyrovp.distributions import Held, NestedBernoulli, TemporalMixture

__all__ = ["HoldStatic", "LikelyGates"]


class HoldStatic(Messenger):
    """A level whose gate says "static" keeps its sample.

    Ancestral sampling of the program that was trained redraws the first closed level's state from
    its static belief. DLH's Figure 3 ("remains fixed") holds it instead; this handler does.

    Reference:
        Long-Horizon Video Prediction Using a Dynamic Latent Hierarchy (Zakharov, Guo, Fountas,
        2022), Figure 3.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[int, torch.Tensor] = {}

    def _pyro_sample(self, msg: dict) -> None:
        where = sites.parse(msg["name"])
        if where is None or where.kind != sites.STATE:
            return
        fn = msg["fn"]
        mixture = fn.base if isinstance(fn, Held) else fn
        if msg["value"] is None:
            value = fn()
            if isinstance(mixture, TemporalMixture):
                value = torch.where(mixture.e.unsqueeze(-1), value, self._last[where.level])
            msg.update(value=value, done=True)
        self._last[where.level] = msg["value"]


class LikelyGates(Messenger):
    """Gates take their more likely value instead of a draw: e = 1 iff p(e = 1) > 1/2 and open."""

    def _pyro_sample(self, msg: dict) -> None:
        fn = msg["fn"]
        if isinstance(fn, NestedBernoulli) and msg["value"] is None:
            msg["value"] = (fn.mean > 0.5).to(fn.logit.dtype)
            msg["done"] = True
