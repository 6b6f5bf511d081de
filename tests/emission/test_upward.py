"""The decoder that goes upwards, against its equations frame by frame in plain torch."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp.cells import Learned, Zeros
from pyrovp.emission.base import FrameModel
from pyrovp.emission.likelihood import (
    BernoulliLikelihood,
    GaussianLikelihood,
    LaplaceLikelihood,
    Likelihood,
)
from pyrovp.emission.upward import UpwardFrames
from pyrovp.nets.residual import residual_channels
from pyrovp.sizes import Map, Size, dims
from tests.oracles.tiny import close, randn

B, T, GIVEN, WIDTH = 2, 3, 2, 8
LIKE = torch.zeros(1, dtype=torch.float64)
LAPLACE = LaplaceLikelihood()
# In no order, two of one resolution, and a vector for a pixel.
LEVELS: tuple[Size, ...] = (Map(2, 8), 3, Map(1, 16), Map(4, 8))


def pyramid(resolution: int, frames: int, seed: int) -> dict[int, Tensor]:
    """An encoder's features of some frames, with channels that are not the decoder's."""
    channels = residual_channels(resolution, 3)
    return {r: randn(B, frames, c, r, r, seed=seed + r) for r, c in channels.items()}


class Case:
    """A decoder in float64, its norms not at 1 and 0, and what it is given."""

    def __init__(self, levels: tuple[Size, ...] = LEVELS, **arguments: Any) -> None:
        sizes: dict[str, Any] = {"channels": 2, "resolution": 16, "width": WIDTH}
        self.emission = UpwardFrames(**{"likelihood": LAPLACE} | sizes | arguments)
        self.levels, resolution = levels, self.emission.resolution
        features = residual_channels(resolution, 3)
        self.model: FrameModel = self.emission.build(levels, features, GIVEN).double()
        with torch.no_grad():
            for i, parameter in enumerate(self.model.parameters()):
                parameter.add_(0.1 * randn(*parameter.shape, seed=i))
        self.contexts = tuple(
            randn(B, T, *dims(size), seed=i).requires_grad_() for i, size in enumerate(levels)
        )
        self.given = pyramid(resolution, GIVEN, seed=100)
        self.past = pyramid(resolution, T, seed=200)
        self.past[1].requires_grad_()

    def start(self) -> tuple[Tensor, ...]:
        return self.model.initial(B, LIKE, self.given)

    def frames(self) -> Tensor:
        return self.model(self.contexts, self.start(), self.past).frames.mean


class Plain:
    """The equations, one frame at a time, with the parameters of a decoder."""

    def __init__(self, case: Case) -> None:
        self.p = dict(case.model.named_parameters())
        self.case, self.channels = case, case.emission.stages
        chosen = case.emission.cells
        self.cells = tuple(self.channels) if chosen is None else chosen
        self.h: dict[int, Tensor] = {}
        self.c: dict[int, Tensor] = {}

    def conv(self, x: Tensor, name: str) -> Tensor:
        weight = self.p[name + ".weight"]
        return F.conv2d(x, weight, self.p.get(name + ".bias"), padding=weight.shape[-1] // 2)

    def norm(self, x: Tensor, groups: int, name: str) -> Tensor:
        groups = min(groups, x.shape[1])  # all channels are powers of 2
        return F.group_norm(x, groups, self.p[name + ".weight"], self.p[name + ".bias"])

    def start(self, r: int) -> None:
        x = self.case.given[r].reshape(B, -1, r, r)
        x = self.norm(self.conv(x, f"starts.{r}.first"), 4, f"starts.{r}.first_norm")
        x = self.conv(F.leaky_relu(x, 0.2), f"starts.{r}.second")
        x = self.norm(x, 1 if r == 1 else 16, f"starts.{r}.second_norm")
        self.h[r], self.c[r] = x.chunk(2, 1)

    def up(self, x: Tensor, r: int, name: str) -> Tensor:
        weight, bias = self.p[name + ".0.weight"], self.p[name + ".0.bias"]
        stride, padding = (1, 0) if r == 4 else (2, 1)
        x = F.conv_transpose2d(x, weight, bias, stride=stride, padding=padding)
        return F.leaky_relu(self.norm(x, 4, name + ".1"), 0.2)

    def cell(self, x: Tensor, r: int, name: str) -> Tensor:
        x, h = self.conv(x, name + ".inward"), self.conv(self.h[r], name + ".recurrent")
        if r > 1:
            x = self.norm(x, 16, name + ".inward_norm")
            h = self.norm(h, 16, name + ".recurrent_norm")
        i, f, o, g = (x + h).chunk(4, 1)
        c = torch.sigmoid(f) * self.c[r] + torch.sigmoid(i) * torch.tanh(g)
        self.c[r] = self.norm(c, 16, name + ".memory_norm") if r > 1 else c
        self.h[r] = torch.sigmoid(o) * torch.tanh(self.c[r])
        return self.h[r]

    def frame(self, t: int) -> Tensor:
        x = self.case.past[1][:, t]
        for n, r in enumerate(self.channels):
            if r > 1:
                x = self.up(x, r, f"stages.{n}.up")
            for z, size in zip(self.case.contexts, self.case.levels, strict=True):
                if (size.resolution if isinstance(size, Map) else 1) == r:
                    x = torch.cat((x, z[:, t].reshape(B, -1, r, r)), 1)
            if r in self.cells:
                x = self.cell(x, r, f"stages.{n}.cell")
            else:
                x = self.conv(x, f"stages.{n}.convolution")
                x = F.leaky_relu(self.norm(x, 1 if r == 1 else 4, f"stages.{n}.norm"), 0.2)
        x = F.leaky_relu(self.norm(self.conv(x, "smooth"), 4, "smooth_norm"), 0.2)
        return torch.sigmoid(self.conv(x, "last"))

    def frames(self) -> Tensor:
        for r in self.cells:
            self.start(r)
        return torch.stack([self.frame(t) for t in range(T)], 1)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"kernel_at_1": 1},
        {"cells": (1,)},
        {"cells": (4, 16), "kernel_at_1": 1},
        {"cells": ()},
        {"resolution": 32},
        {"resolution": 32, "cells": (1, 4, 8)},
        {"likelihood": GaussianLikelihood(0.5)},
        {"likelihood": BernoulliLikelihood()},
        {"channels": 1},
    ],
    ids=str,
)
def test_is_its_equations_frame_by_frame(arguments: dict[str, Any]) -> None:
    case = Case(**arguments)
    actual, expected = case.frames(), Plain(case).frames()
    close(actual, expected)
    leaves = [case.past[1], *case.contexts, *case.model.parameters()]
    weight = randn(*expected.shape, seed=5)
    found = [torch.autograd.grad((x * weight).sum(), leaves) for x in (actual, expected)]
    for mine, theirs in zip(*found, strict=True):
        close(mine, theirs)


@pytest.mark.parametrize("cells", [None, (1, 4), ()])
@pytest.mark.parametrize("parts", [(1, 1, 1), (2, 1), (1, 2)])
def test_frame_by_frame_is_all_at_once(cells: tuple[int, ...], parts: tuple[int, ...]) -> None:
    case = Case(cells=cells)
    whole = case.model(case.contexts, case.start(), case.past)
    memory, means, first = case.start(), [], 0
    for n in parts:
        now = slice(first, first + n)
        past = {r: f[:, now] for r, f in case.past.items()}
        emitted = case.model(tuple(z[:, now] for z in case.contexts), memory, past)
        memory, first = emitted.memory, first + n
        means.append(emitted.frames.mean)
    close(torch.cat(means, 1), whole.frames.mean)
    assert len(memory) == len(whole.memory) == len(cells if cells is not None else (1, 4, 8, 16))
    for mine, theirs in zip(memory, whole.memory, strict=True):
        close(mine, theirs)


def test_frames_do_not_see_what_comes_later() -> None:
    case = Case()
    first = case.frames()[:, 0].sum()
    for gradient in torch.autograd.grad(first, [case.past[1], *case.contexts]):
        assert gradient[:, 0].abs().max() > 0 and not gradient[:, 1:].any()


@pytest.mark.parametrize("cells", [None, (4,)])
def test_particles_are_batch(cells: tuple[int, ...] | None) -> None:
    case, P = Case(cells=cells), 3
    many = [torch.stack([z + p for p in range(P)]) for z in case.contexts]
    # What is drawn has particles, the frames before have none; one level lacks them too.
    many[2] = case.contexts[2]
    emitted = case.model(tuple(many), case.start(), case.past)
    assert emitted.frames.batch_shape == (P, B)
    for p in range(P):
        one = tuple(z[p] if z.dim() > case.contexts[i].dim() else z for i, z in enumerate(many))
        alone = case.model(one, case.start(), case.past)
        close(emitted.frames.mean[p], alone.frames.mean)
        for mine, theirs in zip(emitted.memory, alone.memory, strict=True):
            close(mine[p], theirs)
    again = case.model(tuple(many), emitted.memory, case.past)  # memories with particles
    assert again.frames.batch_shape == (P, B)


@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
@pytest.mark.parametrize("likelihood", [LAPLACE, BernoulliLikelihood()])
def test_frames_of_every_size(resolution: int, likelihood: Likelihood) -> None:
    features = residual_channels(resolution, 1)
    emission = UpwardFrames(3, resolution, likelihood, width=2)
    frames = emission.build((Map(2, 1), Map(1, resolution)), features, given=1)
    contexts = torch.randn(2, 1, 2, 1, 1), torch.randn(2, 1, 1, resolution, resolution)
    maps = {r: torch.randn(2, 1, c, r, r) for r, c in features.items()}
    assert frames.feeds_back
    emitted = frames(contexts, frames.initial(2, maps[1], maps), maps)
    assert emitted.frames.batch_shape == (2,)
    assert emitted.frames.event_shape == (1, 3, resolution, resolution)
    assert 0 < emitted.frames.mean.min() < emitted.frames.mean.max() < 1
    shapes = [tuple(memory.shape[1:]) for memory in emitted.memory]
    assert shapes == [(2 * c, r, r) for r, c in emission.stages.items()]


def test_channels_by_resolution() -> None:
    widths = {1: 512, 4: 512, 8: 512, 16: 256, 32: 128, 64: 64}
    assert UpwardFrames(3, 64, LAPLACE).stages == widths
    assert list(UpwardFrames(3, 16, LAPLACE).stages) == [1, 4, 8, 16]


def count(levels: tuple[Size, ...], resolution: int = 64, **arguments: Any) -> int:
    emission = UpwardFrames(3, resolution, LAPLACE, **arguments)
    with torch.device("meta"):
        frames = emission.build(levels, residual_channels(resolution, 64), given=2)
    return sum(p.numel() for p in frames.parameters())


def counted(levels: dict[int, int], kernel: int = 3) -> int:
    """By hand, for 64 pixels, width 64, two given frames; of contexts, channels by resolution."""

    def start(c: int, kernel: int) -> int:
        return (kernel**2 * 2 * c + 1) * 2 * c + (2 * c + 1) * 2 * c + 8 * c

    total = (kernel**2 * (1024 + levels.get(1, 0)) + 1) * 2048 + start(512, 1)
    below = 512
    for r, c in ((4, 512), (8, 512), (16, 256), (32, 128), (64, 64)):
        total += (16 * below + 3) * c  # up
        total += (9 * (c + levels.get(r, 0)) + 1) * 4 * c + (9 * c + 1) * 4 * c + 18 * c
        total += start(c, 3 if r == 4 else 1)
        below = c
    return total + (9 * 64 + 3) * 64 + (9 * 64 + 1) * 3


def test_parameters() -> None:
    hvrnn = (Map(512, 1), Map(512, 8), Map(128, 32))
    assert count(hvrnn) == counted({1: 512, 8: 512, 32: 128}) == 108_897_091
    assert count(hvrnn[::-1]) == 108_897_091
    assert count(hvrnn[:2]) == counted({1: 512, 8: 512}) == 108_307_267
    assert count((512,)) == counted({1: 512}) == 98_870_083
    lean = count(hvrnn, kernel_at_1=1)
    assert lean == counted({1: 512, 8: 512, 32: 128}, kernel=1) == 108_897_091 - 8 * 1536 * 2048


def test_ablated_cells_are_convolutions() -> None:
    # A cell of the 64 pixel stage has a start, two convolutions into 4 * 64 and three norms.
    start = (128 + 1) * 128 + (128 + 1) * 128 + 8 * 64
    cell = 2 * (9 * 64 + 1) * 256 + 18 * 64
    convolution = (9 * 64 + 1) * 64 + 2 * 64
    all_but_last = count((512,), cells=(1, 4, 8, 16, 32))
    assert count((512,)) - all_but_last == start + cell - convolution


@pytest.mark.parametrize("start", [Zeros(), Learned()])
def test_other_starts_need_no_frames(start: Any) -> None:
    emission = UpwardFrames(2, 16, LAPLACE, width=2, start=start, start_at_4=start)
    frames = emission.build((3,), {1: 5}, given=0).double()
    memory = frames.initial(B, LIKE, None)
    past = {1: randn(B, T, 5, 1, 1)}
    assert all(not m.any() and m.dtype is torch.float64 for m in memory)
    assert frames((randn(B, T, 3),), memory, past).frames.event_shape == (T, 2, 16, 16)


def test_convolutions_are_stored_channels_last() -> None:
    for name, module in Case().model.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            assert module.weight.is_contiguous(memory_format=torch.channels_last), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resolution": 48}, "16, 32, 64 or 128.*48"),
        ({"channels": 0}, "channels must be"),
        ({"width": 0}, "width must be"),
        ({"cells": (1, 2)}, r"\[1, 4, 8, 16\], got \(1, 2\)"),
        ({"cells": 4}, r"\[1, 4, 8, 16\], got 4; cells=None"),
        ({"likelihood": "bernoulli"}, r"object such as LaplaceLikelihood\(\), .*got 'bernoulli'"),
        ({"likelihood": LaplaceLikelihood}, "object such as .*got <class"),
        ({"kernel_at_1": 2}, "1, 3, 5"),
    ],
)
def test_refuses_sizes(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Case(**arguments)


def test_refuses_other_encoders_and_levels() -> None:
    emission = UpwardFrames(2, 16, LAPLACE, width=2)
    for features in (128, None, {4: 8}):
        with pytest.raises(ValueError, match="map of one pixel.*ResidualEncoder"):
            emission.build((3,), features, given=1)
    with pytest.raises(ValueError, match=r"maps at \[1, 4, 8, 16\].*resolution=2"):
        emission.build((Map(3, 2),), residual_channels(16, 2), given=1)
    with pytest.raises(ValueError, match="no features of frames"):
        emission.build((3,), {1: 4, 8: 4, 16: 4}, given=1)
    for pixels in (8, 32):
        with pytest.raises(ValueError, match=f"of 16 pixels, .* of {pixels} pixels; build both"):
            emission.build((3,), {1: 4, 4: 4, pixels: 4}, given=1)
    with pytest.raises(ValueError, match="0 given frames"):
        emission.build((3,), residual_channels(16, 2), given=0)


def test_refuses_a_beginning_without_memories_or_features() -> None:
    case = Case()
    with pytest.raises(ValueError, match="4 cells, got dict and 0 memories; begin with `initial`"):
        case.model(case.contexts, (), case.past)
    with pytest.raises(ValueError, match="got NoneType and 4 memories"):
        case.model(case.contexts, case.start(), None)
