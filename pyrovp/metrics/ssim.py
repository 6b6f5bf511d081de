"""Structural similarity, in the definitions that published figures were made with.

Over every window of a frame, with window weights w that sum to 1,

    mu_x = sum w x,    v_x = n (sum w x^2 - mu_x^2),    v_xy = n (sum w x y - mu_x mu_y),

             (2 mu_x mu_y + C1) (2 v_xy + C2)
    SSIM = -------------------------------------,   C1 = (K1 R)^2,   C2 = (K2 R)^2,
           (mu_x^2 + mu_y^2 + C1) (v_x + v_y + C2)

averaged over the windows that lie wholly inside the frame, then over the channels. Definitions
differ in the weights w (uniform or Gaussian), in n (N/(N-1) for sample covariance over N pixels,
1 for population covariance) and in the data range R. The same prediction scores 0.893 to 0.952
between them, so that a figure without the name of its definition says nothing.

The windows' sums are two products with a banded matrix, A x B', one for the rows and one for the
columns. Differences of near-equal squares are taken in float64: in float32 the variance of a flat
bright patch is rounding noise as large as C2 / 1000.

Reference:
    Image Quality Assessment: From Error Visibility to Structural Similarity (Wang, Bovik,
    Sheikh, Simoncelli, 2004), Section III-B, https://doi.org/10.1109/TIP.2003.819861
"""

__all__ = ["PRESETS", "SSIMPreset", "ssim", "ssim_preset"]

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pyrovp.metrics.checks import check_pair, lookup

# Numbers per block: bounds the float64 copies, and keeps a CPU's block inside its cache.
_BLOCK = {"cpu": 2**16, "cuda": 2**23}


@dataclass(frozen=True)
class SSIMPreset:
    """One definition of SSIM.

    Args:
        name: The name under which figures are printed.
        window: Side of the square window in pixels, odd.
        sigma: Standard deviation of a Gaussian window in pixels; None for a uniform window.
        sample_covariance: Whether variances are scaled by N/(N-1), N = window^2.
        data_range: R, the assumed difference between the brightest and the darkest value.
        k1: K1 of the stabilising constant C1.
        k2: K2 of the stabilising constant C2.

    Raises:
        ValueError: If the window is even or smaller than 3.
    """

    name: str
    window: int
    sigma: float | None
    sample_covariance: bool
    data_range: float
    k1: float = 0.01
    k2: float = 0.03

    def __post_init__(self) -> None:
        if self.window < 3 or self.window % 2 == 0:
            raise ValueError(f"an SSIM window needs an odd side of at least 3, got {self.window}")

    @property
    def weights(self) -> list[float]:
        """The window along one axis, which sums to 1."""
        radius = self.window // 2
        variance = math.inf if self.sigma is None else self.sigma**2
        weights = [math.exp(-(i**2) / (2 * variance)) for i in range(-radius, radius + 1)]
        return [weight / sum(weights) for weight in weights]


_SVG = SSIMPreset("svg", window=7, sigma=None, sample_covariance=True, data_range=2.0)

PRESETS: dict[str, SSIMPreset] = {
    "svg": _SVG,
    "cwvae": _SVG,
    "svg_range1": SSIMPreset("svg_range1", 7, None, sample_covariance=True, data_range=1.0),
    "wang": SSIMPreset("wang", 11, 1.5, sample_covariance=False, data_range=1.0),
}
"""`svg` (SVG, CW-VAE, TALD and DLH's copied rows: scikit-image's old default on floats, whose data
range of 2 belongs to [-1, 1]), also called `cwvae`; `svg_range1` is the same with the true range;
`wang` (the 2004 paper, SRVP, SV2P, HVRNN)."""


def ssim_preset(name: str) -> SSIMPreset:
    """The definition of that name.

    Raises:
        ValueError: If the name is unknown; the nearest known name is given.

    Example:
        >>> ssim_preset("wang").window
        11
    """
    return lookup(PRESETS, name, "SSIM preset")


def ssim(prediction: Tensor, truth: Tensor, preset: SSIMPreset | str) -> Tensor:
    """Structural similarity of every frame, at most 1 (equal frames).

    Args:
        prediction: Frames with intensities in [0, 1], clipped or not as the protocol says.
        truth: Frames of the same shape.
        preset: The definition, or its name.

    Shapes:
        prediction, truth: [..., C, H, W]
        returns: [...], in the type of the prediction, at least float32

    Raises:
        ValueError: If the shapes differ, a frame is smaller than the window, or the preset is
            unknown.
    """
    if isinstance(preset, str):
        preset = ssim_preset(preset)
    check_pair(prediction, truth)
    height, width = prediction.shape[-2:]
    if min(height, width) < preset.window:
        raise ValueError(
            f"frames of {height} x {width} pixels are smaller than the {preset.window} x "
            f"{preset.window} window of SSIM preset {preset.name!r}; use larger frames"
        )
    rows, columns = _windows(preset, height, truth), _windows(preset, width, truth).T
    leading = prediction.shape[:-3]
    block = max(1, _BLOCK.get(truth.device.type, 2**22) // prediction.shape[-3:].numel())
    scores = [
        _block(x.double(), y.double(), rows, columns, preset)
        for x, y in zip(
            prediction.reshape(-1, *prediction.shape[-3:]).split(block),
            truth.reshape(-1, *truth.shape[-3:]).split(block),
            strict=True,
        )
    ]
    result = torch.promote_types(prediction.dtype, torch.float32)
    return torch.cat(scores).reshape(leading).to(result)


def _windows(preset: SSIMPreset, size: int, like: Tensor) -> Tensor:
    """The banded matrix [size - window + 1, size] that sums over all whole windows of an axis."""
    matrix = torch.zeros(size - preset.window + 1, size, dtype=torch.float64, device=like.device)
    for offset, weight in enumerate(preset.weights):
        matrix.diagonal(offset).fill_(weight)
    return matrix


def _block(x: Tensor, y: Tensor, rows: Tensor, columns: Tensor, preset: SSIMPreset) -> Tensor:
    """SSIM of float64 frames [N, C, H, W] -> [N]."""
    pixels = preset.window**2
    norm = pixels / (pixels - 1) if preset.sample_covariance else 1.0
    c1, c2 = (preset.k1 * preset.data_range) ** 2, (preset.k2 * preset.data_range) ** 2

    # v_x and v_y only enter as a sum: four maps are filtered instead of five.
    maps = torch.stack([x, y, x.square() + y.square(), x * y])  # [4, N, C, H, W]
    mu_x, mu_y, squares, product = rows @ (maps @ columns)
    mu_xy, mu_squares = mu_x * mu_y, mu_x.square() + mu_y.square()
    likeness = (2 * mu_xy + c1) * (2 * norm * (product - mu_xy) + c2)
    scale = (mu_squares + c1) * (norm * (squares - mu_squares) + c2)
    return (likeness / scale).mean((-3, -2, -1))
