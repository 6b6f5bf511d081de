r"""How an analysis draws: with the same noise twice, and from what a level predicts.

Two films differ by what an analysis changed, and by nothing else, only where both were drawn with
the same noise ε. A changed program draws in another order, or draws less, so ε may depend on
nothing but a site's name:

    z_n_t = mean + std · ε(n, t)          in both films, whatever was drawn before

A gated level's state is drawn from a mixture or held. What the level predicts for the frame,
p(z | h, c), is the mixture's change component, whether or not the gate is open there.
"""

import zlib
from typing import Any

import torch
from pyro.poutine.messenger import Messenger

from pyrovp.distributions import DiagonalNormal, Held, TemporalMixture

__all__ = ["SameNoise", "predicted"]


class SameNoise(Messenger):
    """A handler under which a site's noise depends on its name alone.

    It can be entered again, for another program with the same noise; not within itself. The
    ambient generators give it its key when it is made, and are left as they were when it is left.

    Args:
        device: Where the programs draw.

    Example:
        >>> import pyro
        >>> noise = SameNoise(torch.device("cpu"))
        >>> with noise:
        ...     first = pyro.sample("z_1_0", pyro.distributions.Normal(0.0, 1.0))
        >>> with noise:
        ...     _ = pyro.sample("z_2_0", pyro.distributions.Normal(0.0, 1.0))
        ...     again = pyro.sample("z_1_0", pyro.distributions.Normal(5.0, 1.0))
        >>> bool(again == first + 5)
        True
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device
        self._key = int(torch.randint(2**31, ()))
        self._states: list[torch.Tensor] = []

    def __enter__(self) -> Any:
        self._states = [torch.get_rng_state()]
        if self.device.type == "cuda":
            self._states.append(torch.cuda.get_rng_state(self.device))
        return super().__enter__()

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        torch.set_rng_state(self._states[0])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(self._states[1], self.device)

    def _pyro_sample(self, msg: Any) -> None:
        if msg["value"] is not None:
            return
        # Keys of neighbouring names must not be neighbours: crc32 spreads them.
        key = self._key + zlib.crc32(msg["name"].encode())
        torch.default_generator.manual_seed(key)
        if self.device.type == "cuda":
            with torch.cuda.device(self.device):
                torch.cuda.manual_seed(key)
        msg.update(value=msg["fn"](*msg["args"], **msg["kwargs"]), done=True)


def predicted(fn: Any) -> Any:
    """What a level predicts for its state, p(z | h, c), of the distribution at its site.

    Args:
        fn: The site's: where a gate chooses, the change component; where it may be held, what it
            is drawn from otherwise; anything else is the prediction already.
    """
    if isinstance(fn, Held):
        return predicted(fn.base)
    if isinstance(fn, TemporalMixture):
        return DiagonalNormal(fn.change, fn.event_dim)
    return fn
