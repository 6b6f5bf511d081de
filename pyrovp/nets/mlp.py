r"""Dense networks.

    MLP[a, b](x) = W_3 act(W_2 act(W_1 x + b_1) + b_2) + b_3

`[a, b]` are the widths of the hidden layers; the output is linear.
"""

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.checks import check_count, check_layers

__all__ = ["MLP"]


class MLP(nn.Module):
    """Hidden layers with an activation, then a linear output.

    Args:
        inputs: Size of the input.
        hidden: Widths of the hidden layers; none makes a single linear layer.
        outputs: Size of the output.
        activation: After each hidden layer: a function, a module, or a module's class.

    Shapes:
        x: [..., inputs]
        returns: [..., outputs]

    Raises:
        ValueError: For a size that is no whole number from 1 on.

    Example:
        >>> import torch
        >>> MLP(1024, [1000, 1000], 1024)(torch.zeros(8, 100, 1024)).shape
        torch.Size([8, 100, 1024])
    """

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        outputs: int,
        activation: Callable[[Tensor], Tensor] | type[nn.Module] = F.relu,
    ) -> None:
        super().__init__()
        check_count("an MLP's inputs", inputs)
        check_layers("an MLP's hidden layers", hidden)
        check_count("an MLP's outputs", outputs)
        sizes = [inputs, *hidden, outputs]
        self.inputs = inputs
        self.outputs = outputs
        self.activation = activation() if isinstance(activation, type) else activation
        self.layers = nn.ModuleList(
            nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """The network's output, [..., inputs] -> [..., outputs]."""
        *hidden, output = self.layers
        for layer in hidden:
            x = self.activation(layer(x))
        return output(x)
