"""I3D: published layers, TensorFlow's padding by a plain loop, and the names in its file."""

import itertools
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pyrovp.metrics import InceptionI3D, read_i3d
from pyrovp.metrics.i3d import Mixed, same_padding, unit

# GoogLeNet, Table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5 (3x3x3 in I3D), pool projection.
# Output maps at 64 frames of 224 x 224: the strides of Figure 3, 2, (1,2,2), (1,2,2), 2 and 2.
MIXED = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}
SHAPES = {
    "Conv3d_1a_7x7": (64, 32, 112, 112),
    "MaxPool3d_2a_3x3": (64, 32, 56, 56),
    "Conv3d_2b_1x1": (64, 32, 56, 56),
    "Conv3d_2c_3x3": (192, 32, 56, 56),
    "MaxPool3d_3a_3x3": (192, 32, 28, 28),
    "Mixed_3b": (256, 32, 28, 28),
    "Mixed_3c": (480, 32, 28, 28),
    "MaxPool3d_4a_3x3": (480, 16, 14, 14),
    "Mixed_4b": (512, 16, 14, 14),
    "Mixed_4c": (512, 16, 14, 14),
    "Mixed_4d": (512, 16, 14, 14),
    "Mixed_4e": (528, 16, 14, 14),
    "Mixed_4f": (832, 16, 14, 14),
    "MaxPool3d_5a_2x2": (832, 8, 7, 7),
    "Mixed_5b": (832, 8, 7, 7),
    "Mixed_5c": (1024, 8, 7, 7),
    "AvgPool3d": (1024, 7, 1, 1),
    "logits": (400, 7, 1, 1),
}


def convolutions() -> dict[str, tuple[int, int, int]]:
    """Every unit of the network by its name: channels in, channels out, kernel."""
    units = {
        "Conv3d_1a_7x7": (3, 64, 7),
        "Conv3d_2b_1x1": (64, 64, 1),
        "Conv3d_2c_3x3": (64, 192, 3),
    }
    inputs = 192
    for name, (single, reduce1, middle, reduce2, small, pooled) in MIXED.items():
        units |= {
            f"Mixed_{name}.b0": (inputs, single, 1),
            f"Mixed_{name}.b1a": (inputs, reduce1, 1),
            f"Mixed_{name}.b1b": (reduce1, middle, 3),
            f"Mixed_{name}.b2a": (inputs, reduce2, 1),
            f"Mixed_{name}.b2b": (reduce2, small, 3),
            f"Mixed_{name}.b3b": (inputs, pooled, 1),
        }
        inputs = single + middle + small + pooled
    return units


def file_shapes(counters: bool = True) -> dict[str, tuple[int, ...]]:
    """Every name in a file like rgb_imagenet.pt, with its shape."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (inputs, outputs, kernel) in convolutions().items():
        shapes[f"{name}.conv3d.weight"] = (outputs, inputs, kernel, kernel, kernel)
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.bn.{part}"] = (outputs,)
        if counters:
            shapes[f"{name}.bn.num_batches_tracked"] = ()
    return shapes | {"logits.conv3d.weight": (400, 1024, 1, 1, 1), "logits.conv3d.bias": (400,)}


def file_content(counters: bool = True) -> dict[str, Tensor]:
    """Weights that take no room; those of one name are all equal, and no two names agree."""
    return {
        name: torch.tensor(0).expand(shape)
        if "num_batches" in name
        else torch.tensor(float(index)).expand(shape)
        for index, (name, shape) in enumerate(file_shapes(counters).items(), 1)
    }


def saved(path: Path, content: dict[str, Tensor], zipped: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


@pytest.fixture(scope="module")
def meta() -> InceptionI3D:
    """The network with shapes and without memory."""
    with torch.device("meta"):
        return InceptionI3D()


# Layers


def test_names_and_shapes_are_the_files(meta: InceptionI3D) -> None:
    found = {name: tuple(value.shape) for name, value in meta.state_dict().items()}
    assert found == file_shapes()
    assert len(found) == 57 * 6 + 2


def test_parameter_count(meta: InceptionI3D) -> None:
    """12,697,264 is what the networks that others built have; here it is also added up."""
    kernels = sum(i * o * k**3 for i, o, k in convolutions().values())
    norms = sum(2 * o for _, o, _ in convolutions().values())
    head = 1024 * 400 + 400
    assert kernels + norms + head == 12_697_264
    assert sum(p.numel() for p in meta.parameters()) == 12_697_264


def test_maps_of_every_layer(meta: InceptionI3D) -> None:
    x = torch.empty(1, 3, 64, 224, 224, device="meta")
    found = {}
    for name, layer in meta.named_children():
        x = layer(x)
        found[name] = tuple(x.shape[1:])
    assert found == SHAPES


@pytest.mark.parametrize("frames", [9, 10, 16, 17, 30])
def test_logits_of_any_length(meta: InceptionI3D, frames: int) -> None:
    assert meta(torch.empty(2, 3, frames, 224, 224, device="meta")).shape == (2, 400)


@pytest.mark.parametrize(
    "shape", [(2, 3, 8, 224, 224), (2, 1, 9, 224, 224), (2, 3, 9, 64, 64), (3, 9, 224, 224)]
)
def test_other_shapes_are_refused(meta: InceptionI3D, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"at least 9 frames, got the shape \["):
        meta(torch.empty(shape, device="meta"))


def test_the_head_is_a_mean_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """With features f_t at the last maps: the mean over t of W (f_t + f_t+1) / 2 + b."""
    with torch.device("meta"):
        network = InceptionI3D()
    maps = torch.randn(1, 1024, 3, 7, 7)
    head = nn.Conv3d(1024, 400, 1)
    monkeypatch.setattr(network.Mixed_5c, "forward", lambda x: maps)
    monkeypatch.setattr(network.logits, "forward", head.forward)
    found = network(torch.empty(1, 3, 17, 224, 224, device="meta"))
    frames = maps[0].mean((2, 3))  # [1024, 3]
    weight, bias = head.weight.flatten(1), head.get_parameter("bias")
    pairs = [weight @ (frames[:, t] + frames[:, t + 1]) / 2 + bias for t in range(2)]
    torch.testing.assert_close(found[0], (pairs[0] + pairs[1]) / 2)


# Padding


def taps(n: int, kernel: int, stride: int) -> list[list[tuple[int, int]]]:
    """Of each output position the pairs (tap, input position) that lie inside, by TensorFlow's
    definition of SAME."""
    outputs = math.ceil(n / stride)
    lacking = max((outputs - 1) * stride + kernel - n, 0)
    first = lacking // 2
    return [
        [
            (tap, i * stride + tap - first)
            for tap in range(kernel)
            if 0 <= i * stride + tap - first < n
        ]
        for i in range(outputs)
    ]


@pytest.mark.parametrize("sizes", [(4, 5, 6), (5, 6, 7), (7, 3, 4), (1, 2, 8)])
@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (3, 1), (1, 1), (3, 2)])
def test_convolutions_by_a_plain_loop(sizes: tuple[int, ...], kernel: int, stride: int) -> None:
    layer = unit(1, 1, kernel, stride).double().eval()
    weight = layer.get_parameter("conv3d.weight")[0, 0].detach()
    x = torch.randn(sizes, dtype=torch.float64)
    where = [taps(n, kernel, stride) for n in sizes]
    expected = torch.zeros([len(axis) for axis in where], dtype=torch.float64)
    for i, j, k in itertools.product(*(range(len(axis)) for axis in where)):
        for (a, t), (b, r), (c, s) in itertools.product(where[0][i], where[1][j], where[2][k]):
            expected[i, j, k] += weight[a, b, c] * x[t, r, s]
    expected = (expected / math.sqrt(1 + 1e-3)).clamp(min=0)  # BatchNorm's start, and the ReLU
    torch.testing.assert_close(layer(x[None, None])[0, 0].detach(), expected)


@pytest.mark.parametrize("sizes", [(4, 5, 6), (5, 6, 7), (1, 2, 8)])
@pytest.mark.parametrize("name", ["2a_3x3", "4a_3x3", "5a_2x2"])
def test_pools_by_a_plain_loop(meta: InceptionI3D, name: str, sizes: tuple[int, ...]) -> None:
    """Also below 0, where zeros of padding would win."""
    kernel, stride = {
        "2a_3x3": ((1, 3, 3), (1, 2, 2)),
        "4a_3x3": ((3, 3, 3), (2, 2, 2)),
        "5a_2x2": ((2, 2, 2), (2, 2, 2)),
    }[name]
    x = -1 - torch.rand(sizes, dtype=torch.float64)
    where = [taps(n, k, s) for n, k, s in zip(sizes, kernel, stride, strict=True)]
    expected = torch.zeros([len(axis) for axis in where], dtype=torch.float64)
    for i, j, k in itertools.product(*(range(len(axis)) for axis in where)):
        inside = itertools.product(where[0][i], where[1][j], where[2][k])
        expected[i, j, k] = max(x[t, r, s] for (_, t), (_, r), (_, s) in inside)
    found = getattr(meta, f"MaxPool3d_{name}")(x[None, None])[0, 0]
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [
        (224, 7, 2, [2, 3]),
        (225, 7, 2, [3, 3]),
        (112, 3, 2, [0, 1]),
        (113, 3, 2, [1, 1]),
        (28, 3, 1, [1, 1]),
        (7, 2, 2, [0, 1]),
        (8, 2, 2, [0, 0]),
        (9, 1, 1, [0, 0]),
    ],
)
def test_padding_by_hand(size: int, kernel: int, stride: int, expected: list[int]) -> None:
    assert same_padding([size], [kernel], [stride]) == expected


def test_branches_are_joined_in_order() -> None:
    """Each branch's last BatchNorm shifts by its own number; its kernels are zero."""
    layer = Mixed(2, 1, (3, 2), (2, 3), 4).eval()
    for name, parameter in layer.named_parameters():
        if "conv3d" in name:
            nn.init.zeros_(parameter)
    for number, branch in enumerate(("b0", "b1b", "b2b", "b3b"), 1):
        nn.init.constant_(getattr(layer, branch).bn.bias, number)
    found = layer(torch.rand(1, 2, 3, 3, 3))
    assert found[0, :, 0, 0, 0].tolist() == [1, 2, 2, 3, 3, 3, 4, 4, 4, 4]


# Files


@pytest.mark.parametrize("counters", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_goes_to_its_places(tmp_path: Path, counters: bool, zipped: bool) -> None:
    content = file_content(counters)
    before = torch.get_rng_state()
    network = read_i3d(saved(tmp_path / "rgb_imagenet.pt", content, zipped))
    assert torch.equal(torch.get_rng_state(), before), "no weights were drawn"
    found = network.state_dict()
    assert set(found) == set(file_shapes())
    for name, value in found.items():
        assert not value.is_meta
        if name in content:
            assert torch.equal(value, content[name])
    assert not any(p.requires_grad for p in network.parameters())
    assert not any(part.training for part in network.modules())


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"Mixed_4d.b2b.bn.running_var": None}, "found no Mixed_4d.b2b.bn.running_var$"),
        ({"fc.weight": torch.ones(1)}, "found an unknown fc.weight$"),
        (
            {"logits.conv3d.bias": torch.ones(157)},
            r"found logits.conv3d.bias with the shape \[157\] for \[400\]$",
        ),
        ({f"Mixed_3b.{b}.bn.bias": None for b in ("b0", "b1a", "b1b", "b2a")}, "and 1 more$"),
    ],
)
def test_other_files_are_refused(
    tmp_path: Path, change: dict[str, Tensor | None], match: str
) -> None:
    content = {k: v for k, v in (file_content() | change).items() if v is not None}
    with pytest.raises(ValueError, match=match):
        read_i3d(saved(tmp_path / "other.pt", content))
