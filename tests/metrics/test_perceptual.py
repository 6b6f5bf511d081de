"""LPIPS: the loading path of a real run, on weights drawn here, against the package's forward.

A random trunk shows that files are found, checked and put where they belong, and that frames are
prepared as the package wants them; what LPIPS says of pictures is not tested.
"""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path

import lpips
import pytest
import torch
from torch import nn
from torchvision import models

from pyrovp.metrics import LPIPS, Absent, make_lpips
from pyrovp.metrics import perceptual as module
from pyrovp.metrics.perceptual import TRUNKS, Trunk
from pyrovp.metrics.pretrained import ADDRESS

SEED = 7


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torchvision would keep its weights: an empty folder of this test."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def install(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Saves a trunk under torchvision's name, with its own sha256 for the one that is expected."""

    def save(net: Trunk, state: dict[str, torch.Tensor]) -> Path:
        path = checkpoints / "unnamed.pth"
        torch.save(state, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        name = f"{TRUNKS[net].rpartition('-')[0]}-{digest[:8]}.pth"
        monkeypatch.setitem(TRUNKS, net, name)
        return path.rename(checkpoints / name)

    return save


def package(net: Trunk) -> nn.Module:
    """The package's own LPIPS with its heads and a trunk drawn with `SEED`."""
    torch.manual_seed(SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torchvision's, on an argument's name
        return lpips.LPIPS(net=net, pnet_rand=True, verbose=False)


def squeezenet() -> dict[str, torch.Tensor]:
    """All weights of torchvision's network, the same numbers as in `package("squeeze")`."""
    torch.manual_seed(SEED)
    return models.squeezenet1_1(weights=None).state_dict()


def frames(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(*shape), torch.rand(*shape)


def test_trunks_are_torchvisions() -> None:
    urls = {
        "alex": models.AlexNet_Weights.IMAGENET1K_V1.url,
        "vgg": models.VGG16_Weights.IMAGENET1K_V1.url,
        "squeeze": models.SqueezeNet1_1_Weights.IMAGENET1K_V1.url,
    }
    assert {net: ADDRESS + file for net, file in TRUNKS.items()} == urls


def test_is_the_packages_forward(install: Callable[..., Path]) -> None:
    install("squeeze", squeezenet())
    ours = make_lpips("squeeze")
    assert isinstance(ours, LPIPS)
    x, y = frames(2, 3, 3, 40, 48)
    expected = package("squeeze")(x.flatten(0, 1), y.flatten(0, 1), normalize=True).view(2, 3)
    found = ours(x, y)
    assert found.shape == (2, 3) and found.dtype == torch.float32
    assert expected.min() > 1e-3, "the oracle tells frames apart"
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("net", ["alex", "vgg", "squeeze"])
def test_every_trunk_goes_to_its_place(
    net: Trunk, install: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as quick:  # classifiers are dropped, and to draw one takes seconds
        quick.setattr(nn.Linear, "reset_parameters", lambda self: None)
        quick.setattr(nn.init, "normal_", lambda tensor, *_, **__: tensor)
        reference = package(net).double()
    inside = {  # lpips's net.slice2.3.weight is torchvision's features.3.weight
        f"features.{name.split('.', 2)[2]}": value.float()
        for name, value in reference.state_dict().items()
        if name.startswith("net.")
    }
    build = {"alex": models.alexnet, "vgg": models.vgg16, "squeeze": models.squeezenet1_1}[net]
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in build(weights=None).state_dict().items()}
    assert all(shapes[name] == value.shape for name, value in inside.items())
    ours = LPIPS(net, install(net, inside)).double()
    x, y = (f.double() for f in frames(2, 3, 32, 33))
    expected = reference(x, y, normalize=True).flatten()
    torch.testing.assert_close(ours(x, y), expected, rtol=1e-12, atol=0)


def test_a_wrong_hash_is_refused(install: Callable[..., Path]) -> None:
    path = install("squeeze", squeezenet())
    assert isinstance(make_lpips("squeeze"), LPIPS)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"begins with {path.stem[-8:]}"):
        make_lpips("squeeze")


@pytest.mark.parametrize("net", sorted(TRUNKS))
def test_without_weights_it_is_absent(net: Trunk, checkpoints: Path) -> None:
    found = make_lpips(net)
    assert isinstance(found, Absent)
    for part in (
        TRUNKS[net],
        f"https://download.pytorch.org/models/{TRUNKS[net]}",
        TRUNKS[net][-12:-4],
        str(checkpoints / TRUNKS[net]),
    ):
        assert part in found.reason
    with pytest.raises(FileNotFoundError, match=TRUNKS[net]):
        LPIPS(net)


@pytest.fixture
def metric(install: Callable[..., Path]) -> LPIPS:
    return LPIPS("squeeze", install("squeeze", squeezenet()))


def test_equal_frames_have_no_distance(metric: LPIPS) -> None:
    x, _ = frames(4, 3, 32, 32)
    assert metric(x, x).tolist() == [0] * 4


def test_gray_frames_are_repeated(metric: LPIPS) -> None:
    x, y = frames(3, 1, 32, 32)
    colour = metric(x.expand(-1, 3, -1, -1), y.expand(-1, 3, -1, -1))
    torch.testing.assert_close(metric(x, y), colour)


def test_blocks_do_not_matter(metric: LPIPS, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = frames(2, 5, 1, 32, 32)
    together = metric(x, y)
    monkeypatch.setitem(module._BLOCK, "cpu", 3 * 32 * 32)  # 3, 3, 3 and 1 frames
    torch.testing.assert_close(metric(x, y), together)
    torch.testing.assert_close(metric(x[1, 2], y[1, 2]), together[1, 2])


def test_nothing_depends_on_the_caller(metric: LPIPS) -> None:
    """Training mode, autocast and half precision of the frames leave the distance alone."""
    x, y = frames(2, 3, 32, 32)
    expected = metric(x, y)
    metric.train()
    assert not any(part.training for part in metric.modules())
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(metric(x, y), expected, rtol=0, atol=0)
    half = metric(x.bfloat16(), y.bfloat16())
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, metric(x.bfloat16().float(), y.bfloat16().float()))


def test_gradients_reach_frames_and_no_weights(metric: LPIPS) -> None:
    x, y = frames(2, 1, 32, 32)
    metric(x.requires_grad_(), y).sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in metric.parameters())


def test_building_draws_no_random_numbers(install: Callable[..., Path]) -> None:
    path = install("squeeze", squeezenet())
    before = torch.get_rng_state()
    LPIPS("squeeze", path)
    assert torch.equal(torch.get_rng_state(), before)


def test_refusals(metric: LPIPS) -> None:
    with pytest.raises(ValueError, match=r"at least 32 x 32 pixels, got 31 x 40"):
        metric(*frames(1, 3, 31, 40))
    with pytest.raises(ValueError, match="1 or 3 channels, got 2"):
        metric(*frames(1, 2, 32, 32))
    with pytest.raises(ValueError, match="same shape"):
        metric(torch.rand(2, 3, 32, 32), torch.rand(3, 32, 32))
    with pytest.raises(ValueError, match="did you mean 'alex'"):
        make_lpips("alexnet")  # type: ignore[arg-type]
