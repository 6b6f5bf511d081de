"""All named systems at their smallest, as objectives, and clips for them."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any, NamedTuple

import pyro.infer
from torch import Tensor, nn

from pyrovp import guides, models
from pyrovp.infer import Objective

__all__ = ["NAMED", "Tiny", "blind"]


class Tiny(NamedTuple):
    """A system of frames [1, 16, 16].

    Args:
        model: Makes the model.
        guide: Makes its guide.
        length: T.
    """

    model: Callable[[], Any]
    guide: Callable[[Any], Any]
    length: int = 6

    def objective(
        self, blind_levels: Collection[int] = (), elbo: pyro.infer.ELBO | None = None
    ) -> Objective:
        """The objective, whose guide leaves some levels to their priors."""
        model = self.model()
        guide = self.guide(model)
        return Objective(model, blind(guide, blind_levels) if blind_levels else guide, elbo)


class _Blind(nn.Module):
    def __init__(self, guide: nn.Module, levels: Collection[int]) -> None:
        super().__init__()
        self.guide, self.levels = guide, levels

    def forward(self, video: Tensor) -> None:
        self.guide(video, blind=self.levels)


def blind(guide: nn.Module, levels: Collection[int]) -> nn.Module:
    """The guide with these levels always blind."""
    return _Blind(guide, levels)


_DENSE: dict[str, Any] = {"state": 2, "memory": 3, "hidden": 4, "resolution": 16, "width": 0.03}
_LIFT: dict[str, Any] = {"lift": (4,)}

NAMED = {
    "cwvae": Tiny(
        partial(models.cwvae, levels=3, factor=2, **_DENSE), partial(guides.cwvae, **_LIFT)
    ),
    "tald": Tiny(partial(models.tald, levels=2, **_DENSE), partial(guides.tald, **_LIFT), 7),
    "notmpabs": Tiny(
        partial(models.notmpabs, levels=2, **_DENSE), partial(guides.notmpabs, **_LIFT)
    ),
    "rssm": Tiny(partial(models.rssm, **_DENSE), partial(guides.rssm, **_LIFT)),
    "dlh": Tiny(
        partial(models.dlh, std=0.4, context=3, **{**_DENSE, "hidden": (4,)}),
        partial(guides.dlh, **_LIFT),
    ),
    "svg_lp": Tiny(
        partial(
            models.svg_lp, state=2, memory=4, features=4, context=2, resolution=16, width=0.05
        ),
        guides.svg_lp,
    ),
    "vrnn": Tiny(
        partial(models.vrnn, channels=1, resolution=16, width=2), guides.vrnn
    ),
    "hvrnn": Tiny(
        partial(models.hvrnn, channels=1, resolution=16, width=2, latents=(1, 4, 8)),
        guides.hvrnn,
    ),
    "vta": Tiny(
        partial(
            models.vta, belief=4, state=2, features=4, channels=1, resolution=16, given=2, tail=2
        ),
        guides.vta,
        8,
    ),
}  # fmt: skip
"""By name; levels 1 and up of CW-VAE, TALD, NoTmpAbs, DLH and HVRNN may be blind."""
