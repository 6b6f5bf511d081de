r"""The convolutional LSTM's equations.

    a = N_x(W_x * x + b) + N_h(W_h * h)         the four gates of every pixel
    c' = N_c(σ(f) c + σ(i) tanh(g))             the normed c is carried on
    h' = σ(o) tanh(c')

without peepholes and without a bias of the forget gate. N are group norms, or nothing ("plain").

W_x * x and its norm are known in advance for a known sequence and computed for all frames at once:
only W_h * h loops over time. On maps of one pixel both are matrix products, and maps are vectors
inside.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.cells.cell import Cell
from pyrovp.cells.lstm_gates import lstm_memory, lstm_output
from pyrovp.nets.centre import CentreConv2d, centre_tap
from pyrovp.nets.convolution import channels_last
from pyrovp.nets.folding import fold, unfold
from pyrovp.nets.joint_conv import JointConv2d
from pyrovp.nets.lowered import lowered
from pyrovp.nets.norm import map_norm
from pyrovp.shapes import common_shape
from pyrovp.sizes import Map, Size

__all__ = ["GROUPS", "ConvLSTMCell"]

GROUPS = 16

Norm = Callable[[int], nn.Module]


class ConvLSTMCell(Cell):
    """A convolutional LSTM on inputs in parts.

    Args:
        sizes: Sizes of the input's parts; at one pixel vectors will do.
        size: C, channels of the memory.
        resolution: Side of its maps in pixels.
        kernel: Side of the kernels in pixels, an odd number.
        layer: Channels of a layer before the cell, a 1x1 convolution and a group norm.
        norm: Makes N_x, N_h and N_c for a number of channels; None: there are none, and the
            recurrent convolution has no bias of its own. The gates are i, f, o, g, in this order.

    Shapes:
        memory: (h, c), [..., 2C, r, r]
        inputs: [..., C_i, r, r]

    Raises:
        ValueError: If a part has another resolution, or there is none.

    Example:
        >>> cell = ConvLSTMCell((Map(3, 4),), size=8, resolution=4, kernel=3)
        >>> cell.scan(cell.initial(2, torch.zeros(1)), torch.zeros(2, 10, 3, 4, 4)).shape
        torch.Size([2, 10, 8, 4, 4])
    """

    def __init__(
        self,
        sizes: Sequence[Size],
        size: int,
        resolution: int,
        kernel: int,
        layer: int | None = None,
        norm: Norm | None = None,
    ) -> None:
        super().__init__()
        self.size, self.resolution = size, resolution
        self.dims = (2 * size, resolution, resolution)
        self.vectors = tuple(isinstance(part, int) for part in sizes)
        channels = _channels(sizes, resolution)
        self.layer: JointConv2d | None = None
        if layer is not None:
            self.layer = JointConv2d(channels, layer, 1)
            self.layer_norm = map_norm(layer, GROUPS, resolution)
            channels = (layer,)
        self.inward = JointConv2d(channels, 4 * size, kernel)
        self.recurrent = CentreConv2d(size, 4 * size, kernel, bias=norm is not None)
        if norm is None:
            # Drawn as the one convolution of [x, h] that the two are.
            bound = (kernel**2 * (sum(channels) + size)) ** -0.5
            for parameter in (*self.inward.parameters(), *self.recurrent.parameters()):
                nn.init.uniform_(parameter, -bound, bound)
        norm = norm or nn.Identity
        self.inward_norm = norm(4 * size)
        self.recurrent_norm = norm(4 * size)
        self.memory_norm = norm(size)
        self.to(memory_format=torch.channels_last)

    def read(self, memory: Tensor) -> Tensor:
        """h, [..., C, r, r]."""
        return memory.narrow(-3, 0, self.size)

    def early(self, *inputs: Tensor) -> Tensor:
        """The share of the last parts of the input, ahead of time."""
        parts = self._maps(inputs, len(self.vectors) - len(inputs))
        lead = common_shape(*(part.shape[:-3] for part in parts))
        first = self.layer or self.inward
        return unfold(first.early(*self._folded(parts, lead)), lead)

    def step(self, memory: Tensor, *inputs: Tensor, early: Tensor | None = None) -> Tensor:
        """The memory after one step; see `Cell.step`."""
        parts = [part.unsqueeze(-4) for part in self._maps(inputs)]  # a clip of one frame
        if early is not None:
            early = early.unsqueeze(-4)
        return self._walk(memory, parts, early, None, False)[1]

    def run(
        self, memory: Tensor, *inputs: Tensor, reset: Tensor | None = None, reverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Outputs, stored time-major and channels last, and the last memory; see `Cell.run`."""
        return lowered(self._run)(memory, inputs, reset, reverse)

    def _run(
        self, memory: Tensor, inputs: Sequence[Tensor], reset: Tensor | None, reverse: bool
    ) -> tuple[Tensor, Tensor]:
        outputs, memory = self._walk(memory, self._maps(inputs), None, reset, reverse)
        lead = memory.shape[:-3]
        joined = torch.cat(outputs)
        if self.resolution == 1:
            joined = joined[:, :, None, None]
        return joined.unflatten(0, (-1, *lead)).movedim(0, len(lead)), memory

    def _walk(
        self,
        memory: Tensor,
        parts: Sequence[Tensor],
        early: Tensor | None,
        reset: Tensor | None,
        reverse: bool,
    ) -> tuple[list[Tensor], Tensor]:
        """h after each step [N, C, r, r] (at one pixel [N, C]), and the last memory."""
        given = parts if early is None else (*parts, early)
        length = given[0].shape[-4]
        leads = [part.shape[:-4] for part in given]
        if reset is not None:
            leads.append(reset.shape[:-1])
        lead = common_shape(memory.shape[:-3], *leads)
        folded = self._folded(parts, (*lead, length))
        if early is not None:
            (early,) = self._folded([early], (*lead, length))
        inward = self._vector(self._inward(folded, early))
        memory = memory.expand(*lead, *self.dims).reshape(-1, *self.dims)
        h, c = self._vector(memory).split(self.size, 1)
        if h.dim() == 4:
            h = channels_last(h)
        weight = self.recurrent.weight if h.dim() == 4 else centre_tap(self.recurrent.weight)
        if torch.is_autocast_enabled(h.device.type):  # once, not again at each step
            weight = weight.to(torch.get_autocast_dtype(h.device.type))
        # Split, not unbound: the gradients are then joined in the maps' own layout.
        steps = list(enumerate(inward.split(len(h))))
        keep = None if reset is None else self._keep(reset, (*lead, length), h.dim())
        outputs = [h] * length
        for t, share in reversed(steps) if reverse else steps:
            if keep is not None:
                h, c = h * keep[t], c * keep[t]
            h, c = self._update(share, h, c, weight)
            outputs[t] = h
        return outputs, torch.cat((h, c), 1).reshape(*lead, *self.dims)

    def _update(
        self, inward: Tensor, h: Tensor, c: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        bias = self.recurrent.bias
        if h.dim() == 2:
            outward = F.linear(h, weight, bias)
        else:
            outward = F.conv2d(h, weight, bias, padding=weight.shape[-1] // 2)
        # In place: neither a product nor a norm keeps its result for the gradient.
        c, o = lstm_memory(self.recurrent_norm(outward).add_(inward), c)
        c = self.memory_norm(c)
        return lstm_output(o, c), c

    def _inward(self, parts: Sequence[Tensor], early: Tensor | None) -> Tensor:
        """The inputs' share of the gates, [N, 4C, r, r]."""
        if self.layer is None:
            return self.inward_norm(self.inward(*parts, early=early))
        return self.inward_norm(self.inward(self.layer_norm(self.layer(*parts, early=early))))

    # Every tensor that comes in is brought to one number of dimensions here.

    def _maps(self, inputs: Sequence[Tensor], first: int = 0) -> list[Tensor]:
        """The parts from the given one on, [..., C_i, r, r]."""
        flags = self.vectors[first : first + len(inputs)]
        if len(flags) < len(inputs):
            raise ValueError(f"a cell on {len(self.vectors)} parts got {len(inputs)} of them")
        pairs = zip(inputs, flags, strict=True)
        return [x[..., None, None] if vector else x for x, vector in pairs]

    def _folded(self, parts: Sequence[Tensor], lead: Sequence[int]) -> list[Tensor]:
        """The parts [..., C_i, r, r] over the same leading dimensions, as [N, C_i, r, r]."""
        return [channels_last(fold(part.expand(*lead, *part.shape[-3:]))) for part in parts]

    def _vector(self, x: Tensor) -> Tensor:
        """A map of one pixel as a vector: norms and products are cheapest on rows."""
        return x.flatten(1) if self.resolution == 1 else x

    def _keep(self, reset: Tensor, lead: Sequence[int], dims: int) -> tuple[Tensor, ...]:
        """Per frame [N, 1, ...], 0 where the memory starts again."""
        keep = (1 - reset).expand(*lead).movedim(-1, 0).flatten(1)
        return keep[(..., *[None] * (dims - 1))].unbind()


def _channels(sizes: Sequence[Size], resolution: int) -> tuple[int, ...]:
    """Channels of the parts, once their places fit."""
    parts = [Map(size, 1) if isinstance(size, int) else size for size in sizes]
    if not parts or any(part.resolution != resolution for part in parts):
        raise ValueError(
            f"a ConvLSTM on maps of {resolution} pixels takes inputs of that resolution, got "
            f"sizes {list(sizes)}; bring the others to it first"
        )
    return tuple(part.channels for part in parts)
