"""LPIPS: a distance between frames in the features of a network that knows photographs.

With f_l(x) the features of layer l of an ImageNet network, scaled to unit length at every
position, and weights w_l >= 0 that were fitted to human judgements,

    LPIPS(x, y) = sum_l  mean over positions of  sum_c w_lc (f_lc(x) - f_lc(y))^2,

0 for equal frames, and lower is better. The weights w_l (version 0.1) come with the package
`lpips`; the ImageNet network, the trunk, is a file of torchvision's that has to be there. Frames
are repeated to three channels where they are gray and taken from [0, 1] to [-1, 1].

Without the trunk's file the metric is absent. Neither is it fetched nor are random weights used.

Reference:
    The Unreasonable Effectiveness of Deep Features as a Perceptual Metric (Zhang, Isola, Efros,
    Shechtman, Wang, 2018), Eq. 1 (which has squares of the w), https://arxiv.org/abs/1801.03924
"""

__all__ = ["LPIPS", "SMALLEST", "TRUNKS", "Trunk", "make_lpips"]

import warnings
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from pyrovp.metrics.checks import check_pair, lookup
from pyrovp.metrics.pretrained import Absent, find_weights, load_weights

Trunk = Literal["alex", "vgg", "squeeze"]

TRUNKS: dict[str, str] = {
    "alex": "alexnet-owt-7be5be79.pth",
    "vgg": "vgg16-397923af.pth",
    "squeeze": "squeezenet1_1-b8a52dc0.pth",
}
"""Torchvision's file of each trunk; the digits at the end begin its sha256."""

SMALLEST = 32
"""Pixels that a frame needs on each side: below, a trunk's last maps would be empty."""

# Pixels per block: vgg's first layers make maps of 256 bytes a pixel, several alive at once.
_BLOCK = {"cpu": 2**16, "cuda": 2**20}


class LPIPS(nn.Module):
    """Learned perceptual distance of every frame; always in evaluation mode.

    Args:
        net: The trunk; figures of two trunks cannot be compared.
        weights: The trunk's file; None: where torchvision keeps it.

    Shapes:
        prediction, truth: [..., C, H, W] with 1 or 3 channels, in [0, 1] (clipped or not, as the
            protocol says)
        returns: [...], in the type of the prediction, at least float32

    Raises:
        ValueError: If the trunk is unknown or its file another one than torchvision's; in a call,
            if the shapes differ, channels are not 1 or 3, or a side is below 32 pixels.
        FileNotFoundError: If there is no such file; `make_lpips` returns `Absent` instead.
    """

    def __init__(self, net: Trunk = "alex", weights: str | Path | None = None) -> None:
        super().__init__()
        found = _find(net, weights)
        if isinstance(found, Absent):
            raise FileNotFoundError(found.reason)
        self.net = net
        self.network = _network(net, load_weights(found, _prefix(net))).requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "LPIPS":
        """Stays in evaluation: the heads have dropouts, which would make the distance random."""
        return super().train(False)

    def forward(self, prediction: Tensor, truth: Tensor) -> Tensor:
        """The distance of every frame, block by block; weights get no gradients, frames may."""
        check_pair(prediction, truth)
        channels, height, width = prediction.shape[-3:]
        if channels not in (1, 3):
            raise ValueError(f"LPIPS needs frames of 1 or 3 channels, got {channels}")
        if min(height, width) < SMALLEST:
            raise ValueError(
                f"LPIPS needs frames of at least {SMALLEST} x {SMALLEST} pixels, got {height} x "
                f"{width}; use larger frames, enlarging small ones would make another metric"
            )
        device = prediction.device.type
        block = max(1, _BLOCK.get(device, 2**16) // (height * width))
        frames = (x.reshape(-1, channels, height, width) for x in (prediction, truth))
        pairs = zip(*(x.split(block) for x in frames), strict=True)
        with torch.autocast(device, enabled=False):  # a metric is not to depend on its caller's
            scores = [self._block(x, y) for x, y in pairs]
        result = torch.promote_types(prediction.dtype, torch.float32)
        return torch.cat(scores).reshape(prediction.shape[:-3]).to(result)

    def _block(self, prediction: Tensor, truth: Tensor) -> Tensor:
        """[N, C, H, W] -> [N]."""
        dtype = next(self.network.parameters()).dtype
        x, y = (2 * f.to(dtype).expand(-1, 3, -1, -1) - 1 for f in (prediction, truth))
        distance: Tensor = self.network(x, y)
        return distance.flatten()


def make_lpips(net: Trunk = "alex", weights: str | Path | None = None) -> LPIPS | Absent:
    """The metric, or why it cannot be measured here.

    Args:
        net, weights: See `LPIPS`.

    Raises:
        ValueError: If the trunk is unknown, or the file is there but another one.
    """
    found = _find(net, weights)
    return found if isinstance(found, Absent) else LPIPS(net, found)


def _find(net: str, weights: str | Path | None) -> Path | Absent:
    return find_weights(lookup(TRUNKS, net, "trunk of LPIPS"), _prefix(net), weights)


def _prefix(net: str) -> str:
    """The first digits of the sha256, which torchvision writes into a file's name."""
    return Path(TRUNKS[net]).stem.rpartition("-")[2]


def _network(net: str, trunk: dict[str, Tensor]) -> nn.Module:
    """The network of the package `lpips`, with its own heads and the given trunk."""
    # Here and not above: it imports torchvision and scipy, which takes seconds, and a torchvision
    # that was built for another torch would take every other metric down with it.
    import lpips

    # Parameters without memory: an untrained trunk would be drawn only to be thrown away, vgg's
    # from 138 million random numbers of the caller's generator.
    with torch.device("meta"), warnings.catch_warnings():
        # lpips says `pretrained=False` to torchvision, which wants `weights=None`.
        warnings.simplefilter("ignore", UserWarning)
        network: nn.Module = lpips.LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False)
    # lpips regroups torchvision's `features.3.weight` into `net.slice2.3.weight`.
    names = [name for name in network.state_dict() if name.startswith("net.")]
    state = {name: trunk["features." + name.split(".", 2)[2]] for name in names}
    heads = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{net}.pth"
    state |= torch.load(heads, map_location="cpu", weights_only=True)
    # Not strict, since the heads are there under two names; what was forgotten is still on `meta`.
    network.load_state_dict(state, strict=False, assign=True)
    tensors = [*network.named_parameters(), *network.named_buffers()]
    if left := [name for name, tensor in tensors if tensor.is_meta]:
        raise RuntimeError(f"the package lpips has parts that got no weights: {left}")
    return network
