"""Protocols: everything that has to be equal before two figures may be compared.

A protocol fixes how many frames are given and how many are predicted, how many futures are drawn
for each sequence and how one of them is selected, which SSIM it is, and whether predictions are
clipped to [0, 1] before they are scored. Its hash is printed with every table; figures under two
hashes are never compared. The name is a label and stays out of the hash, and so do the labels of
SSIM presets: what counts is the definition.

Selection among N samples is by the mean over time, for every metric by itself. By chance alone the
best of 100 lifts an SSIM from .504 to .587, and picking per *frame* would lift it to .691.

References:
    Clockwork Variational Autoencoders (Saxena, Ba, Hafner, 2021), https://arxiv.org/abs/2102.09532
    Stochastic Video Generation with a Learned Prior (Denton, Fergus, 2018),
    https://arxiv.org/abs/1802.07687
    Improved Conditional VRNNs for Video Prediction (Castrejon, Ballas, Courville, 2019),
    https://arxiv.org/abs/1904.12165
"""

__all__ = ["NAMED", "Best", "Protocol", "best_of", "default", "protocol"]

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyrovp.metrics.checks import check_pair, lookup
from pyrovp.metrics.psnr import CAP, psnr
from pyrovp.metrics.sharpness import relative_sharpness
from pyrovp.metrics.ssim import PRESETS, SSIMPreset, ssim


@dataclass(frozen=True)
class Protocol:
    """How predictions are made and scored.

    Args:
        name: A label.
        context: Frames given to the model.
        horizon: Frames predicted and scored.
        samples: Futures drawn for each sequence; the best is reported where there are several.
        ssim: The definition of SSIM.
        clip: Whether predictions are clipped to [0, 1] before they are scored.

    Raises:
        ValueError: If context, horizon or samples is below 1.

    Example:
        >>> mine = Protocol("mine", 36, 100, samples=1, ssim=PRESETS["svg"], clip=True)
        >>> mine.label("ssim")
        'SSIM (svg, clipped)'
    """

    name: str
    context: int
    horizon: int
    samples: int
    ssim: SSIMPreset
    clip: bool

    def __post_init__(self) -> None:
        for field in ("context", "horizon", "samples"):
            if getattr(self, field) < 1:
                raise ValueError(
                    f"protocol {self.name!r} needs a {field} of at least 1, "
                    f"got {getattr(self, field)}"
                )

    @property
    def selection(self) -> str:
        """How one of the samples is selected, in words."""
        return "none" if self.samples == 1 else "best by time mean, each metric by itself"

    @property
    def hash(self) -> str:
        """Ten hexadecimal digits of the SHA-256 of everything but the labels."""
        content: dict[str, Any] = asdict(self) | {"selection": self.selection, "psnr_cap": CAP}
        del content["name"], content["ssim"]["name"]
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    def label(self, metric: str) -> str:
        """A metric's name as it is printed, with its definition.

        Args:
            metric: One of the names that `score` returns.

        Raises:
            ValueError: If the metric is unknown.
        """
        clip = "clipped" if self.clip else "unclipped"
        labels = {
            "psnr": f"PSNR [dB] ({clip})",
            "ssim": f"SSIM ({self.ssim.name}, {clip})",
            "sharpness": f"sharpness / truth ({clip})",
        }
        return lookup(labels, metric, "metric")

    def score(self, prediction: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """Every metric at every predicted frame.

        Args:
            prediction: Predicted frames, before any clipping; several samples may be stacked
                in front and given to `best_of` afterwards.
            truth: True frames of the same shape, in [0, 1].

        Shapes:
            prediction, truth: [..., B, horizon, C, H, W]
            returns: `psnr` in dB, `ssim`, and `sharpness` relative to the truth's, each
                [..., B, horizon]

        Raises:
            ValueError: If the shapes differ or the number of frames is not the horizon.
        """
        check_pair(prediction, truth)
        if prediction.ndim < 5 or prediction.shape[-4] != self.horizon:
            raise ValueError(
                f"protocol {self.name!r} scores predictions [..., B, {self.horizon}, C, H, W], "
                f"got the shape {list(prediction.shape)}"
            )
        if self.clip:
            prediction = prediction.clamp(0, 1)
        return {
            "psnr": psnr(prediction, truth),
            "ssim": ssim(prediction, truth, self.ssim),
            "sharpness": relative_sharpness(prediction, truth),
        }


class Best(NamedTuple):
    """The selected sample of each sequence.

    Args:
        scores: Its scores [B, horizon].
        chosen: Which sample it is, from 0, [B].
    """

    scores: Tensor
    chosen: Tensor


def best_of(scores: Tensor) -> Best:
    """Selects for every sequence the sample whose score is highest in the mean over time.

    Each metric selects by itself. For a distance (lower is better) pass its negative.

    Args:
        scores: One metric of all samples; a sample whose mean is not a number is never selected
            while another one is left.

    Shapes:
        scores: [N, B, horizon]
        returns: scores [B, horizon], chosen [B] in 0 ... N-1

    Raises:
        ValueError: If the scores have another number of dimensions or are empty.
    """
    if scores.ndim != 3 or scores.numel() == 0:
        raise ValueError(
            f"scores of samples [N, B, horizon] are needed, got the shape {list(scores.shape)}"
        )
    mean = scores.mean(-1).nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    chosen = mean.argmax(0)
    return Best(scores[chosen, torch.arange(len(chosen), device=chosen.device)], chosen)


def default(context: int, horizon: int) -> Protocol:
    """One sample, SSIM as in SVG, CW-VAE and DLH, predictions clipped to [0, 1]."""
    return Protocol("default", context, horizon, samples=1, ssim=PRESETS["svg"], clip=True)


def _named(
    name: str, samples: int, ssim: str, clip: bool, **lengths: tuple[int, int]
) -> dict[str, Protocol]:
    """Protocols of one paper; `lengths` holds (context, horizon) by data set."""
    return {
        data: Protocol(f"{name}/{data}", context, horizon, samples, PRESETS[ssim], clip)
        for data, (context, horizon) in lengths.items()
    }


NAMED: dict[str, dict[str, Protocol]] = {
    "cwvae": _named(
        "cwvae", 1, "svg", clip=False,
        moving_mnist=(36, 1000), gqn_mazes=(36, 300), minerl_navigate=(36, 500),
    ),
    "tald": _named(
        "tald", 1, "svg", clip=False,
        moving_mnist=(36, 900), kth=(36, 300), gqn_mazes=(36, 200), minerl_navigate=(36, 420),
    ),
    "dlh": _named(
        "dlh", 100, "svg", clip=True,
        moving_mnist=(30, 300), kth=(30, 300), gqn_mazes=(30, 200),
    ),
    # DLH's table gives CW-VAE a context that is whole windows of its slowest level.
    "dlh_36": _named(
        "dlh_36", 100, "svg", clip=True,
        moving_mnist=(36, 300), kth=(36, 300), gqn_mazes=(36, 200),
    ),
    "svg": _named(
        "svg", 100, "svg", clip=True,
        stochastic_moving_mnist=(5, 10), kth=(10, 30), bair=(2, 28),
    ),
    "hvrnn": _named(
        "hvrnn", 100, "wang", clip=True,
        stochastic_moving_mnist=(5, 10), bair=(2, 28), cityscapes=(2, 28),
    ),
}  # fmt: skip
"""Published protocols by paper and data set."""


def protocol(name: str, data: str) -> Protocol:
    """A published protocol.

    Args:
        name: The paper: `cwvae`, `tald`, `dlh`, `dlh_36`, `svg` or `hvrnn`.
        data: The data set, by the name it has in `pyrovp.data`.

    Raises:
        ValueError: If the paper is unknown or has no figures for the data set.

    Example:
        >>> protocol("cwvae", "moving_mnist").horizon
        1000
    """
    return lookup(lookup(NAMED, name, "protocol"), data, f"data set of protocol {name!r}")
