"""SVG-LP's convolutional networks: DCGAN and VGG with skips.

Networks for R x R frames have log2(R) - 2 stages (R = 16, 32, 64, 128) of 1, 2, 4, 8, 8 times
`width` channels: the ones next to the latent stay when R shrinks, at 128 another 8 is added next
to it. BN is BatchNorm, LReLU has slope 0.2; every convolution has a bias.

    DCGAN  stage: Conv 4x4 s2 p1 + BN + LReLU; its output is the skip at R/2, ..., 4
           top:   Conv 4x4 valid + BN + tanh
           decode: ConvT 4x4 + BN + LReLU; stages [d, skip] -> ConvT 4x4 s2 p1 + BN + LReLU, the
           last one ConvT + sigmoid
    VGG    stage: 2, 2, 3, 3, 3 times Conv 3x3 p1 + BN + LReLU; its output is the skip at
           R, ..., 8, and goes on through max pooling by 2
           top:   as above
           decode: ConvT 4x4 + BN + LReLU; stages: nearest x 2, [d, skip] -> the encoder's stage
           backwards, the last convolution of the last one ConvT 3x3 p1 + sigmoid

Reference:
    Stochastic Video Generation with a Learned Prior (Denton and Fergus, 2018),
    https://arxiv.org/abs/1802.07687, with the constants of the authors' implementation.
"""

__all__ = ["DCGANDecoder", "DCGANEncoder", "Layer", "Skips", "VGGDecoder", "VGGEncoder"]

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Skips = dict[int, Tensor]


class Layer(nn.Module):
    """A convolution, BatchNorm and an activation."""

    def __init__(self, convolution: nn.Module, channels: int, activation: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = nn.BatchNorm2d(channels)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(self.norm(self.convolution(x)))
        return y


def _leaky(convolution: nn.Module, channels: int) -> Layer:
    return Layer(convolution, channels, nn.LeakyReLU(0.2))


def _top(planes: int, features: int) -> Layer:
    return Layer(nn.Conv2d(planes, features, 4), features, nn.Tanh())


def _bottom(features: int, planes: int) -> Layer:
    return _leaky(nn.ConvTranspose2d(features, planes, 4), planes)


def _planes(resolution: int, width: int) -> list[int]:
    """Channels of the stages, from the image to the latent."""
    stages = int(math.log2(resolution)) - 2
    return [
        width * n for n in ([1, 2, 4, 8, 8][:stages] if stages > 4 else [1, 2, 4, 8][-stages:])
    ]


class DCGANEncoder(nn.Module):
    """[B, C, R, R] -> [B, G] and the skips, resolution -> [B, planes, r, r]."""

    def __init__(
        self, channels: int, resolution: int = 64, features: int = 128, width: int = 64
    ) -> None:
        super().__init__()
        planes = _planes(resolution, width)
        self.stages = nn.ModuleList(
            _leaky(nn.Conv2d(i, o, 4, stride=2, padding=1), o)
            for i, o in zip([channels, *planes[:-1]], planes, strict=True)
        )
        self.top = _top(planes[-1], features)

    def forward(self, frames: Tensor) -> tuple[Tensor, Skips]:
        skips, x = {}, frames
        for stage in self.stages:
            x = stage(x)
            skips[x.shape[-1]] = x
        return self.top(x).flatten(1), skips


class DCGANDecoder(nn.Module):
    """[B, G] and the skips -> [B, C, R, R]."""

    def __init__(
        self, channels: int, resolution: int = 64, features: int = 128, width: int = 64
    ) -> None:
        super().__init__()
        planes = _planes(resolution, width)
        self.bottom = _bottom(features, planes[-1])
        self.stages = nn.ModuleList(
            _leaky(nn.ConvTranspose2d(2 * i, o, 4, stride=2, padding=1), o)
            for i, o in zip(planes[:0:-1], planes[-2::-1], strict=True)
        )
        self.image = nn.ConvTranspose2d(2 * planes[0], channels, 4, stride=2, padding=1)

    def forward(self, features: Tensor, skips: Skips) -> Tensor:
        d = self.bottom(features[:, :, None, None])
        for stage in self.stages:
            d = stage(torch.cat([d, skips[d.shape[-1]]], 1))
        return torch.sigmoid(self.image(torch.cat([d, skips[d.shape[-1]]], 1)))


def _depths(stages: int) -> list[int]:
    """How many convolutions the stages of a VGG have, from the image to the latent."""
    return [2, 2, 3, 3, 3] if stages > 4 else [2, 2, 3, 3][-stages:]


class VGGEncoder(nn.Module):
    """[B, C, R, R] -> [B, G] and the skips, resolution -> [B, planes, r, r]."""

    def __init__(
        self, channels: int, resolution: int = 64, features: int = 128, width: int = 64
    ) -> None:
        super().__init__()
        planes = _planes(resolution, width)
        self.stages = nn.ModuleList()
        for i, o, depth in zip(
            [channels, *planes[:-1]], planes, _depths(len(planes)), strict=True
        ):
            inputs = [i, *[o] * (depth - 1)]
            self.stages.append(
                nn.Sequential(*(_leaky(nn.Conv2d(n, o, 3, padding=1), o) for n in inputs))
            )
        self.top = _top(planes[-1], features)

    def forward(self, frames: Tensor) -> tuple[Tensor, Skips]:
        skips, x = {}, frames
        for stage in self.stages:
            skip = stage(x)
            skips[skip.shape[-1]] = skip
            x = F.max_pool2d(skip, 2)
        return self.top(x).flatten(1), skips


class VGGDecoder(nn.Module):
    """[B, G] and the skips -> [B, C, R, R]; the last stage stands without its ConvT, `image`."""

    def __init__(
        self, channels: int, resolution: int = 64, features: int = 128, width: int = 64
    ) -> None:
        super().__init__()
        planes = _planes(resolution, width)
        depths = _depths(len(planes))
        self.bottom = _bottom(features, planes[-1])
        self.stages = nn.ModuleList()
        for n in range(len(planes) - 1, -1, -1):
            sizes = [2 * planes[n], *[planes[n]] * (depths[n] - 1)]
            if n > 0:
                sizes.append(planes[n - 1])
            self.stages.append(
                nn.Sequential(
                    *(
                        _leaky(nn.Conv2d(i, o, 3, padding=1), o)
                        for i, o in zip(sizes[:-1], sizes[1:], strict=True)
                    )
                )
            )
        self.image = nn.ConvTranspose2d(planes[0], channels, 3, padding=1)

    def forward(self, features: Tensor, skips: Skips) -> Tensor:
        d = self.bottom(features[:, :, None, None])
        for stage in self.stages:
            up = F.interpolate(d, scale_factor=2, mode="nearest")
            d = stage(torch.cat([up, skips[up.shape[-1]]], 1))
        return torch.sigmoid(self.image(d))
