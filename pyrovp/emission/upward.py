r"""A decoder that remembers: from one pixel upwards, with a ConvLSTM at each size.

    m^1 = cell_1([f^1_{t-1}, z^1])                  f^1: the encoder's map of one pixel
    m^r = cell_r([up(m^{r'}), z^r])                 r = 4, 8, ..., R; r' the size before
    x_t = σ(Conv3(LReLU(GN(Conv3(m^R)))))           without σ where the likelihood takes logits

with norms of four groups and an LReLU of slope 0.2. z^r is what the hierarchy hands down at that
size, at some of them nothing. The channels are those of the residual encoder: w at R, 2w at R/2,
4w, and 8w from R/8 on, to one pixel.

The cells see the frame before and what was drawn for this one, which is all known where frames
are: then only their recurrent parts loop over time, and all else runs on all frames at once.

Reference:
    Improved Conditional VRNNs for Video Prediction (Castrejon, Ballas, Courville, 2019), Section
    4 "Likelihood/Frame Decoder" and Table 1; the layers are those of the authors' implementation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.cells import ConvLSTM, FromContext, Memory, NormedConvLSTM, Start
from pyrovp.checks import check_count
from pyrovp.emission.base import Emission, Emitted, FrameModel
from pyrovp.emission.likelihood import Likelihood, check_likelihood
from pyrovp.emission.stage import GROUPS, SLOPE, Stage, resolution_of
from pyrovp.evidence import Features
from pyrovp.nets.centre import CentreConv2d
from pyrovp.nets.folding import fold, unfold
from pyrovp.nets.lowered import lowered
from pyrovp.nets.norm import groups
from pyrovp.nets.remade import at_once, joined, remade
from pyrovp.nets.residual import residual_channels
from pyrovp.sizes import Map, Size, dims
from pyrovp.state import Context

__all__ = ["UpwardFrames"]


@dataclass(frozen=True)
class UpwardFrames(Emission):
    """HVRNN's decoder. It reads the features of the frame before and, at each size, a memory.

    The cell at one pixel is plain, the others are normed. A stage without a cell has a 3x3
    convolution of the same inputs with a group norm and an LReLU in its place; this is our reading
    of the paper's "replace convolutional layers in the decoder with ConvLSTM layers".

    Args:
        channels: Channels C of a frame.
        resolution: Side R of a frame in pixels: 16, 32, 64 or 128.
        likelihood: What the decoded map says of the pixels.
        width: Channels w at the frame's own resolution.
        cells: Resolutions of the stages that have a ConvLSTM; None: all. The paper compares
            (1,), (1, 4, 8) and all.
        kernel_at_1: Side of the kernels on the map of one pixel; 1 is the same function with
            fewer parameters than the published 3.
        start: What the cells' memories start from.
        start_at_4: The same for the map of 4 pixels; the authors' has a larger kernel there.

    Raises:
        ValueError: For sizes that are not as above, or what is no likelihood.

    Example:
        >>> from pyrovp.emission import LaplaceLikelihood
        >>> emission = UpwardFrames(channels=3, resolution=64, likelihood=LaplaceLikelihood())
        >>> levels = (Map(512, 1), Map(512, 8), Map(128, 32))
        >>> features = {64: 64, 32: 128, 16: 256, 8: 512, 4: 512, 1: 512}
        >>> with torch.device("meta"):  # sizes only
        ...     frames = emission.build(levels, features, given=2)
        >>> sum(parameter.numel() for parameter in frames.parameters())
        108897091
    """

    channels: int
    resolution: int
    likelihood: Likelihood
    width: int = 64
    cells: Sequence[int] | None = None
    kernel_at_1: int = 3
    start: Start = FromContext()
    start_at_4: Start = FromContext(kernel=3)

    def __post_init__(self) -> None:
        check_count("channels", self.channels)
        check_count("width", self.width)
        check_likelihood(self.likelihood)
        if self.cells is None:
            return
        if not isinstance(self.cells, Sequence) or not set(self.cells) <= set(self.stages):
            raise ValueError(
                "cells are at some resolutions of the decoder's maps, a list of those among "
                f"{list(self.stages)}, got {self.cells!r}; cells=None puts one at each"
            )
        object.__setattr__(self, "cells", tuple(self.cells))

    @property
    def stages(self) -> dict[int, int]:
        """Channels by resolution, from one pixel upwards."""
        return dict(sorted(residual_channels(self.resolution, self.width).items()))

    def build(
        self,
        inputs: tuple[Size, ...],
        features: int | dict[int, int] | None = None,
        given: int = 0,
    ) -> FrameModel:
        """The decoder on contexts of any of its resolutions; a vector counts as one pixel.

        Raises:
            ValueError: If the encoder has no map of one pixel or none that a start needs, or is
                for frames of another size, or a context has a resolution that the decoder does
                not have.
        """
        if not isinstance(features, dict) or 1 not in features:
            raise ValueError(
                "this decoder reads the encoder's map of one pixel, but the features are "
                f"{features}; use an encoder with features by resolution, such as ResidualEncoder"
            )
        largest, cell = max(features), self.memory(self.resolution)
        starts = cell is not None and isinstance(cell.start, FromContext)
        if largest > self.resolution or (starts and largest < self.resolution):
            raise ValueError(
                f"this emission makes frames of {self.resolution} pixels, but the encoder's maps "
                f"are at {sorted(features)}, as of frames of {largest} pixels; build both for the "
                "same resolution"
            )
        strange = [size for size in inputs if resolution_of(size) not in self.stages]
        if strange:
            raise ValueError(
                f"the decoder of {self.resolution} pixels has maps at {sorted(self.stages)}, but "
                f"is handed {strange}; give the levels these resolutions"
            )
        return _Upward(self, inputs, features, given)

    def memory(self, resolution: int) -> Memory | None:
        """Describes a stage's cell; None: it has none."""
        if self.cells is not None and resolution not in self.cells:
            return None
        size = self.stages[resolution]
        if resolution == 1:
            return ConvLSTM(size, 1, kernel=self.kernel_at_1, start=self.start)
        start = self.start_at_4 if resolution == 4 else self.start
        return NormedConvLSTM(size, resolution, start=start)


class _Upward(FrameModel):
    feeds_back = True

    def __init__(
        self,
        emission: UpwardFrames,
        inputs: tuple[Size, ...],
        features: dict[int, int],
        given: int,
    ) -> None:
        super().__init__()
        self.events = tuple(len(dims(size)) for size in inputs)
        self.stages, self.starts = nn.ModuleList(), nn.ModuleDict()
        below = features[1]
        for r, channels in emission.stages.items():
            memory = emission.memory(r)
            contexts = {i: part for i, part in enumerate(inputs) if resolution_of(part) == r}
            kernel = emission.kernel_at_1 if r == 1 else 3
            stage = Stage(below, Map(channels, r), contexts, memory, kernel)
            if memory is not None and stage.cell is not None:
                seen = Map(features[r], r) if r in features else None
                self.starts[str(r)] = memory.start.build(stage.cell.dims, seen, given)
            self.stages.append(stage)
            below = channels
        self.smooth = CentreConv2d(below, below)
        self.smooth_norm = nn.GroupNorm(groups(below, GROUPS), below)
        self.last = CentreConv2d(below, emission.channels)
        self.likelihood = emission.likelihood.build()
        self.to(memory_format=torch.channels_last)

    def initial(self, batch: int, like: Tensor, given: Features | None) -> tuple[Tensor, ...]:
        """The cells' memories, from the features of the given frames."""
        maps = given if isinstance(given, dict) else {}
        return tuple(start(maps.get(int(r)), batch, like) for r, start in self.starts.items())

    def forward(
        self, contexts: Context, memory: Any = (), past: Features | None = None
    ) -> Emitted:
        if not isinstance(past, dict) or len(memory) != len(self.starts):
            raise ValueError(
                "this decoder needs the features by resolution of the frames before, and the "
                f"memories of its {len(self.starts)} cells, got {type(past).__name__} and "
                f"{len(memory)} memories; begin with `initial` and hand on what each call returns"
            )
        y, after = lowered(self._decoded)(contexts, memory, past[1])
        return Emitted(self.likelihood(y), after)

    def _decoded(
        self, contexts: Context, memory: tuple[Tensor, ...], seen: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Frames [..., B, T, C, H, W] and the memories after them, a part after the other."""
        length, frames = seen.shape[-4], list[Tensor]()
        size = at_once(length, seen.shape[0])
        for start in range(0, length, size):
            count = min(size, length - start)
            now = tuple(
                c.narrow(-1 - events, start, count)
                for c, events in zip(contexts, self.events, strict=True)
            )
            y, memory = remade(self._part, now, memory, seen.narrow(-4, start, count))
            frames.append(y.movedim(-4, 0))
        return joined(frames).movedim(0, -4), memory

    def _part(
        self, contexts: Context, memory: tuple[Tensor, ...], seen: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        x, before, after = seen, iter(memory), []
        for stage in self.stages:
            x, last = stage(x, contexts, next(before) if stage.cell is not None else None)
            if last is not None:
                after.append(last)
        y = F.leaky_relu_(self.smooth_norm(self.smooth(fold(x))), SLOPE)
        y = self.last(y).contiguous()  # channels first in memory, as videos are
        if not self.likelihood.takes_logits:
            y = torch.sigmoid(y)
        return unfold(y, x.shape[:-3]), tuple(after)
