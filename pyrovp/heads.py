r"""Heads: from what a level knows to its belief about its state.

p    = act(W_k ... act(W_1 inputs))
mean = W_m p + b_m
std  = softplus(W_s (p + shift) + b_s) + min_std
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.memo import memo
from pyrovp.nets.joint import Joint

__all__ = ["Gaussian", "GaussianHead", "packed"]


@dataclass(frozen=True)
class Gaussian:
    """A level's stochastic state: a diagonal Gaussian, and the head that predicts it.

    Args:
        size: Z, the size of the state.
        hidden: Widths of the head's hidden layers, at least one.
        activation: After each hidden layer; a function or a module.
        min_std: Lower bound of the standard deviation. It keeps the KL of a confident posterior
            finite; 1e-4 is what CW-VAE's published figures were made with.
        shift: Added to the input of the std layer (0.54 in CW-VAE's implementation).

    Raises:
        ValueError: For a size or a width below 1, or no hidden layer.
    """

    size: int
    hidden: tuple[int, ...] = (200,)
    activation: Callable[[Tensor], Tensor] = F.elu
    min_std: float = 1e-4
    shift: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if self.size < 1:
            raise ValueError(f"a state needs a size of at least 1, got {self.size}")
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(
                f"a head needs one or more hidden layers of width 1 or more, got {self.hidden}"
            )
        if self.min_std < 0:
            raise ValueError(f"min_std is a lower bound of a std and >= 0, got {self.min_std}")

    def head(self, *inputs: int) -> "GaussianHead":
        """The head on inputs of these sizes."""
        return GaussianHead(self, inputs)


class GaussianHead(nn.Module):
    """Packed parameters of a diagonal Gaussian, from inputs given in parts.

    Args:
        state: The state's description.
        inputs: Sizes of the parts.

    Shapes:
        inputs: [..., H_i]
        returns: [..., 2Z], mean and std
    """

    def __init__(self, state: Gaussian, inputs: tuple[int, ...]) -> None:
        super().__init__()
        self.state = state
        self.first = Joint(inputs, state.hidden[0])
        self.hidden = nn.ModuleList(
            nn.Linear(a, b) for a, b in zip(state.hidden, state.hidden[1:], strict=False)
        )
        self.output = nn.Linear(state.hidden[-1], 2 * state.size)

    def early(self, value: Tensor) -> Tensor:
        """The share of the last part in the first layer, ahead of time: [..., H] -> [..., E]."""
        return self.first.early(value)

    def forward(self, *inputs: Tensor, early: Tensor | None = None) -> Tensor:
        """The belief's parameters; `early` stands for the last part."""
        p = self.trunk(*inputs, early=early)
        return packed(F.linear(p, self.output.weight, memo(self._bias)()), self.state.min_std)

    def trunk(self, *inputs: Tensor, early: Tensor | None = None) -> Tensor:
        """The hidden layers' output p, [..., E]."""
        activation = self.state.activation
        p = activation(self.first(*inputs, early=early))
        for layer in self.hidden:
            p = activation(layer(p))
        return p

    def _bias(self) -> Tensor:
        """The output bias with the shift folded in: W_s (p + shift) = W_s p + shift · W_s 1."""
        if not self.state.shift:
            return self.output.bias
        folded = self.output.weight[self.state.size :].sum(1) * self.state.shift
        return self.output.bias + F.pad(folded, (self.state.size, 0))


def packed(raw: Tensor, min_std: float) -> Tensor:
    """Packed parameters [mean, softplus(raw std) + min_std] of a head's linear output."""
    mean, std = raw.chunk(2, -1)
    return torch.cat((mean, F.softplus(std) + min_std), -1)
