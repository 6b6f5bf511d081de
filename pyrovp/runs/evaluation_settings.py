"""The settings of an evaluation of runs that are there: the schema of `conf/evaluate.yaml`."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["EvaluationSettings"]


@dataclass
class EvaluationSettings:
    """How runs are evaluated; what is not given is as the run itself, or the protocol, says.

    Args:
        runs: Folders of runs.
        protocol: "own", as the run was evaluated, or a paper's: cwvae, tald, dlh, dlh_36, svg or
            hvrnn.
        context, horizon: Frames given and predicted.
        samples: Futures per sequence; the best by each metric is reported.
        ssim: Preset of the SSIM.
        clip: Whether predictions are clipped to [0, 1] first.
        sequences: Held-out clips, or all where there are fewer.
        metrics: A list of psnr, ssim, sharpness, lpips, fvd and states, and of measures of one's
            own, {_target_: my_package.Mine}.
        weights: "last", or "best" on validation data.
        batch_statistics: Whether BatchNorms use their batch's statistics.
        seed: Key of the noise.
        batch: Sequences at a time; part of the key of the noise.
        rows: Sequences times samples at a time; part of the key of the noise.
        training_clips: How many training clips the baselines know.
        pictures: How many sequences are drawn.
        lpips_net: The trunk of LPIPS: alex, vgg or squeeze.
        lpips_weights, fvd_weights: Files of weights.
        fvd_context: Whether FVD is of clips with their given frames.
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:1".
        force: Whether a finished evaluation is made anew.
    """

    runs: list[str] = field(default_factory=list)
    protocol: str = "own"
    context: int | None = None
    horizon: int | None = None
    samples: int | None = None
    ssim: str | None = None
    clip: bool | None = None
    sequences: int | None = None
    metrics: list[Any] | None = None
    weights: str | None = None
    batch_statistics: bool | None = None
    seed: int | None = None
    batch: int = 16
    rows: int | None = None
    training_clips: int = 128
    pictures: int = 2
    lpips_net: str = "alex"
    lpips_weights: str | None = None
    fvd_weights: str | None = None
    fvd_context: bool | None = None
    device: str = "auto"
    force: bool = False

    def __post_init__(self) -> None:
        for name in ("sequences", "batch", "rows", "training_clips"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value}")
        for name in ("pictures", "seed"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must be a whole number of at least 0, got {value}")
        if self.weights not in (None, "last", "best"):
            raise ValueError(f"weights are last or best (on validation data), got {self.weights}")
