"""Prediction policies: handlers that change how a model continues, not the model itself."""

import torch
from pyro.poutine.messenger import Messenger

from pyrovp import sites
from pyrovp.distributions import Held, LogitRelaxedBernoulli, NestedBernoulli, TemporalMixture
from pyrovp.shapes import over

__all__ = ["HoldStatic", "Jumpy", "LikelyGates"]


class HoldStatic(Messenger):
    """A level whose gate says "static" keeps its sample.

    Ancestral sampling of the program that was trained redraws the first closed level's state from
    its static belief. DLH's Figure 3 ("remains fixed") holds it instead; this handler does.

    Reference:
        Long-Horizon Video Prediction Using a Dynamic Latent Hierarchy (Zakharov, Guo, Fountas,
        2022), Figure 3.

    Example:
        >>> import pyro
        >>> from pyrovp.distributions import DiagonalNormal
        >>> stays, belief = torch.tensor([False]), torch.ones(1, 2)  # mean and std
        >>> with HoldStatic():
        ...     z = pyro.sample("z_2_0", DiagonalNormal(belief))
        ...     after = pyro.sample("z_2_1", TemporalMixture(stays, belief, belief))
        >>> z.equal(after)
        True
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
                open = over(mixture.e, mixture.event_dim)
                value = torch.where(open, value, self._last[where.level])
            msg.update(value=value, done=True)
        self._last[where.level] = msg["value"]


class LikelyGates(Messenger):
    """Gates take their more likely value instead of a draw: e = 1 iff p(e = 1) > 1/2 and open.

    A boundary gate takes its median, which lies on the likelier side of 0 in logit space.

    Example:
        >>> import pyro
        >>> with LikelyGates():
        ...     pyro.sample("e_2_0", NestedBernoulli(torch.tensor(0.7)))
        tensor(1.)
    """

    def _pyro_sample(self, msg: dict) -> None:
        fn = msg["fn"]
        if msg["value"] is not None:
            return
        if isinstance(fn, NestedBernoulli):
            msg.update(value=(fn.mean > 0.5).to(fn.logit.dtype), done=True)
        elif isinstance(fn, LogitRelaxedBernoulli):
            msg.update(value=fn.logits / fn.temperature, done=True)


class Jumpy(Messenger):
    """Jumpy generation: every frame begins a segment.

    The abstract level steps from segment to segment and each segment shows its first frame. A
    boundary resets the levels below by their parent, so nothing else is carried over.

    Reference:
        Variational Temporal Abstraction (Kim, Ahn, Bengio, 2019), Sections 1 and 4.

    Example:
        >>> import pyro
        >>> unlikely = LogitRelaxedBernoulli(torch.tensor(0.5), torch.tensor(-9.0))
        >>> with Jumpy():
        ...     pyro.sample("elogit_2_0", unlikely)
        tensor(1.)
    """

    def _pyro_sample(self, msg: dict) -> None:
        fn = msg["fn"]
        if isinstance(fn, LogitRelaxedBernoulli) and msg["value"] is None:
            msg.update(value=torch.ones_like(fn.logits), done=True)
