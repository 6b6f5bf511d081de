r"""Convolutions with a BatchNorm and an activation, alone and in a row.

y = act(BatchNorm(K * x + b))
"""

from typing import Any

from torch import Tensor, nn

from pyrovp.nets.batch_norm import Statistics, StepBatchNorm2d

__all__ = ["Normed", "NormedChain"]


class Normed(nn.Module):
    """A layer, its BatchNorm and an activation.

    Args:
        layer: To maps of so many channels.
        channels: Of the layer's output.
        activation: After the norm, by default LeakyReLU of slope 0.2.
        statistics: Of the norm.

    Shapes:
        inputs: those of the layer, time in front
        returns: [T B, channels, H, W]
    """

    def __init__(
        self,
        layer: nn.Module,
        channels: int,
        activation: nn.Module | None = None,
        statistics: Statistics = "each",
    ) -> None:
        super().__init__()
        self.layer = layer
        self.norm = StepBatchNorm2d(channels, statistics)
        # In place: a norm's gradient needs its input, not its output.
        self.activation = nn.LeakyReLU(0.2, inplace=True) if activation is None else activation

    def forward(self, *inputs: Any, steps: int = 1) -> Tensor:
        """The activations at so many time steps."""
        y: Tensor = self.activation(self.norm(self.layer(*inputs), steps))
        return y


class NormedChain(nn.Module):
    """Normed layers, one after the other.

    Args:
        layers: At least one; the first may read several inputs.

    Shapes:
        inputs: those of the first layer, time in front
        returns: what the last layer gives
    """

    def __init__(self, *layers: Normed) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, *inputs: Any, steps: int = 1) -> Tensor:
        """The last layer's activations at so many time steps."""
        first, *rest = self.layers
        x: Tensor = first(*inputs, steps=steps)
        for layer in rest:
            x = layer(x, steps=steps)
        return x
