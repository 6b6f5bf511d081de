"""A budget of two steps, and what such a command leaves behind."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from pyrovp.runs import experiment, write_results

__all__ = ["SIZES", "TINY", "Outcome", "draw_nothing"]

TINY = (
    "data.length=6", "data.resolution=16", "train.steps=2", "train.batch=2", "train.log_every=1",
    "train.validate_every=1", "train.checkpoint_every=1", "train.validate_sequences=2",
    "evaluate.context=3", "evaluate.horizon=3", "evaluate.sequences=2", "device=cpu",
)  # fmt: skip
"""Two steps on 16x16 frames."""

SIZES: dict[str, tuple[str, ...]] = {
    "cwvae": ("model.memory=8", "model.hidden=8", "model.state=3", "guide.lift=[8]"),
    "dlh": ("model.memory=8", "model.context=8", "model.state=3", "model.hidden=[8]"),
}
SIZES["hvrnn"] = ("model.latents=[1,4]", "model.width=4", "model.given=2")
SIZES["vrnn"] = SIZES["hvrnn"][1:]
SIZES["mixed"] = ("model.hierarchy.given=2",)
SIZES["svg_lp"] = ("model.width=0.05", "model.memory=8", "model.features=8", "model.context=2")
SIZES["vta"] = (
    "model.belief=4", "model.features=4", "model.state=3", "model.given=1", "model.tail=1",
)  # fmt: skip
for name in ("tald", "notmpabs", "rssm"):
    SIZES[name] = SIZES["cwvae"]


def draw_nothing(patch: pytest.MonkeyPatch) -> None:
    """Runs leave empty files for pictures: drawing takes longer than all the rest."""
    for name in (name for name in vars(write_results) if name.endswith(("_png", "_gif"))):
        patch.setattr(write_results, name, lambda path, *_, **__: path.touch())
    patch.setattr(experiment, "draw_hierarchy", lambda *_, path: path.touch())


@dataclass
class Outcome:
    """What a command left behind."""

    code: int
    output: str
    errors: str
    out: Path

    @property
    def folder(self) -> Path:
        """The only run directory."""
        (folder,) = self.out.glob("*/seed*")
        return folder
