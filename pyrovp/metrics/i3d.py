"""Inception-I3D: the network for actions in videos whose logits FVD compares.

GoogLeNet (Inception-V1) with every square kernel made a cube: 7 x 7 becomes 7 x 7 x 7, and so do
the pools, except that the first two leave time alone. A `unit` is a convolution without a bias, a
BatchNorm and a ReLU; a `Mixed` layer runs four branches side by side and joins their channels,

    1x1x1  |  1x1x1, 3x3x3  |  1x1x1, 3x3x3  |  pool 3x3x3, 1x1x1.

Convolutions and pools pad as TensorFlow's SAME: of n positions with stride s there come
ceil(n / s), and what the kernel k then lacks, max((ceil(n / s) - 1) s + k - n, 0), is added around
them, half in front and the larger half behind. A 7-kernel at stride 2 sees 2 zeros before an even
size and 3 after it, where torch's `padding=3` would be one position off.

The names are those of the well-known file `rgb_imagenet.pt`, which holds DeepMind's weights after
ImageNet and Kinetics-400: `Conv3d_1a_7x7.conv3d.weight`, `Mixed_3b.b1a.bn.running_mean`, ...,
`logits.conv3d.bias`.

References:
    Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset (Carreira, Zisserman,
    2017), Section 2.4 and Figure 3, https://arxiv.org/abs/1705.07750
    Going Deeper with Convolutions (Szegedy et al., 2014), Table 1 for the channels,
    https://arxiv.org/abs/1409.4842
"""

__all__ = ["FEWEST", "SIDE", "InceptionI3D", "Mixed", "read_i3d", "same_padding", "unit"]

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pyrovp.metrics.pretrained import load_weights

FEWEST = 9
"""Frames that a clip needs: three strides of 2 must leave the last pool its 2 positions."""

SIDE = 224
"""Height and width of the frames in pixels."""


class InceptionI3D(nn.Sequential):
    """Kinetics logits of clips, their mean over time.

    Args:
        classes: Of the logits; 400 published.

    Shapes:
        clips: [B, 3, T, 224, 224] with at least 9 frames, intensities in [-1, 1]
        returns: [B, classes]

    Raises:
        ValueError: In a call, for another shape.
    """

    def __init__(self, classes: int = 400) -> None:
        layers: dict[str, nn.Module] = {
            "Conv3d_1a_7x7": unit(3, 64, kernel=7, stride=2),
            "MaxPool3d_2a_3x3": _SamePool((1, 3, 3), (1, 2, 2)),
            "Conv3d_2b_1x1": unit(64, 64, kernel=1),
            "Conv3d_2c_3x3": unit(64, 192, kernel=3),
            "MaxPool3d_3a_3x3": _SamePool((1, 3, 3), (1, 2, 2)),
            "Mixed_3b": Mixed(192, 64, (96, 128), (16, 32), 32),
            "Mixed_3c": Mixed(256, 128, (128, 192), (32, 96), 64),
            "MaxPool3d_4a_3x3": _SamePool((3, 3, 3), (2, 2, 2)),
            "Mixed_4b": Mixed(480, 192, (96, 208), (16, 48), 64),
            "Mixed_4c": Mixed(512, 160, (112, 224), (24, 64), 64),
            "Mixed_4d": Mixed(512, 128, (128, 256), (24, 64), 64),
            "Mixed_4e": Mixed(512, 112, (144, 288), (32, 64), 64),
            "Mixed_4f": Mixed(528, 256, (160, 320), (32, 128), 128),
            "MaxPool3d_5a_2x2": _SamePool((2, 2, 2), (2, 2, 2)),
            "Mixed_5b": Mixed(832, 256, (160, 320), (32, 128), 128),
            "Mixed_5c": Mixed(832, 384, (192, 384), (48, 128), 128),
            "AvgPool3d": nn.AvgPool3d((2, 7, 7), stride=1),
            # The published network drops half of these features, in training only.
            "logits": nn.Sequential(OrderedDict(conv3d=nn.Conv3d(1024, classes, 1))),
        }
        super().__init__(OrderedDict(layers))

    def forward(self, clips: Tensor) -> Tensor:
        """The mean over time of the logits."""
        batch, *shape = clips.shape
        if len(shape) != 4 or shape[0] != 3 or shape[1] < FEWEST or shape[2:] != [SIDE, SIDE]:
            raise ValueError(
                f"I3D needs clips [B, 3, T, {SIDE}, {SIDE}] of at least {FEWEST} frames, got "
                f"the shape {list(clips.shape)}"
            )
        logits: Tensor = super().forward(clips)  # [B, classes, T', 1, 1]
        return logits.mean((2, 3, 4))


class Mixed(nn.Module):
    """Four branches side by side; their channels are joined in this order.

    Args:
        inputs: Channels that come in.
        single: Of the 1x1x1 branch.
        middle: Of the second branch's 1x1x1 and 3x3x3 layers.
        small: Of the third's. (GoogLeNet has 5 x 5 here, the published I3D 3 x 3 x 3.)
        pooled: Of the layer behind the pool.

    Shapes:
        x: [B, inputs, T, H, W]
        returns: [B, single + middle[1] + small[1] + pooled, T, H, W]
    """

    def __init__(
        self,
        inputs: int,
        single: int,
        middle: tuple[int, int],
        small: tuple[int, int],
        pooled: int,
    ) -> None:
        super().__init__()
        self.b0 = unit(inputs, single, kernel=1)
        self.b1a = unit(inputs, middle[0], kernel=1)
        self.b1b = unit(*middle, kernel=3)
        self.b2a = unit(inputs, small[0], kernel=1)
        self.b2b = unit(*small, kernel=3)
        self.b3a = _SamePool((3, 3, 3), (1, 1, 1))
        self.b3b = unit(inputs, pooled, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        """The branches' joined channels."""
        b1, b2, b3 = self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))
        return torch.cat((self.b0(x), b1, b2, b3), 1)


def unit(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, BatchNorm, ReLU; [B, inputs, T, H, W] -> [B, outputs, ceil(T / stride), ...].

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        kernel: Positions along each of time, height and width.
        stride: The same.
    """
    return nn.Sequential(
        OrderedDict(
            conv3d=_SameConv3d(inputs, outputs, kernel, stride, bias=False),
            bn=nn.BatchNorm3d(outputs, eps=1e-3),
            relu=nn.ReLU(inplace=True),
        )
    )


class _SameConv3d(nn.Conv3d):
    def forward(self, input: Tensor) -> Tensor:
        padding = same_padding(input.shape[2:], self.kernel_size, self.stride)
        return super().forward(F.pad(input, padding) if any(padding) else input)


class _SamePool(nn.MaxPool3d):
    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__(kernel, stride)
        self.window, self.steps = kernel, stride

    def forward(self, input: Tensor) -> Tensor:
        padding = same_padding(input.shape[2:], self.window, self.steps)
        # TensorFlow takes the maximum of what is there, so padding must never win.
        return super().forward(
            F.pad(input, padding, value=float("-inf")) if any(padding) else input
        )


def same_padding(sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> list[int]:
    """TensorFlow's SAME padding, in the order that `torch.nn.functional.pad` wants.

    Args:
        sizes: Positions along each dimension.
        kernel, stride: Of the window, along each dimension.

    Returns:
        In front and behind, of the last dimension first.

    Example:
        >>> same_padding([16, 224, 225], [7, 7, 7], [2, 2, 2])
        [3, 3, 2, 3, 2, 3]
    """
    padding: list[int] = []
    for n, k, s in zip(reversed(sizes), reversed(kernel), reversed(stride), strict=True):
        lacking = max((-(-n // s) - 1) * s + k - n, 0)
        padding += [lacking // 2, lacking - lacking // 2]
    return padding


def read_i3d(path: str | Path) -> InceptionI3D:
    """The network with the weights of a file, in evaluation mode and without gradients.

    No hash was published with `rgb_imagenet.pt`, so a file is checked by all its names and
    shapes. What it is, says its sha256: quote it with every figure.

    Args:
        path: A state dict with the names of this module's network. The counters that BatchNorms
            keep in training (`num_batches_tracked`) may be missing, as from old versions of torch.

    Raises:
        ValueError: If the file is no state dict, or a name or shape is missing, unknown or wrong.
        OSError: If it cannot be read.
    """
    with torch.device("meta"):  # parameters without memory: no random numbers are drawn
        network = InceptionI3D()
    weights = load_weights(path, sha256_prefix="")
    if wrong := _misfits(weights, network.state_dict()):
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ValueError(
            f"{path}: expected the weights of Inception-I3D for RGB and 400 classes under the "
            f"names of rgb_imagenet.pt, found {'; '.join(wrong[:3])}{more}"
        )
    network.load_state_dict(weights, strict=True, assign=True)
    return network.float().eval().requires_grad_(False)


def _misfits(weights: Mapping[str, Tensor], network: Mapping[str, Tensor]) -> list[str]:
    """Every name or shape of a file that is not the network's, in words."""
    wrong = [f"no {n}" for n in network if n not in weights and "num_batches" not in n]
    wrong += [f"an unknown {name}" for name in weights if name not in network]
    for name, value in weights.items():
        if name in network and value.shape != network[name].shape:
            shapes = f"{list(value.shape)} for {list(network[name].shape)}"
            wrong.append(f"{name} with the shape {shapes}")
    return wrong
