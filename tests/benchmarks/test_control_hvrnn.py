"""HVRNN's hand-written loss is that of the oracle: same parameters, noise, loss, gradients.

The oracle reads the control's own parameters, so that both losses have gradients in one place.
"""

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from benchmarks.controls.hvrnn import HVRNN, add_repeated
from pyrovp.nets import ResidualEncoder
from tests.oracles import hvrnn as hv
from tests.oracles.tiny import close, randn

B, WIDTH, RESOLUTION = 2, 16, 16


class Pyramid(nn.Module):
    """The oracle's encoder behind the interface of a pyramid encoder."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.net = hv.Encoder(RESOLUTION, 1, width, lean=False)
        self.features = self.net.channels

    def forward(self, frames: Tensor, steps: int = 1) -> dict[int, Tensor]:
        assert len(frames) == steps * B
        return self.net(frames)


def build(latents: tuple[int, ...] = (1, 4, 8), context: int = 2, width: int = WIDTH) -> HVRNN:
    encoder = Pyramid(width=width)
    control = HVRNN(encoder, channels=1, context=context, latents=latents).double()
    hv.randomise(control)
    return control


def clip(frames: int) -> Tensor:
    return torch.sigmoid(randn(B, frames, 1, RESOLUTION, RESOLUTION, seed=3))


def oracle_loss(
    control: HVRNN, video: Tensor, noise: dict[int, Tensor], beta: float, width: int = WIDTH
) -> Tensor:
    oracle = hv.HVRNN(
        resolution=RESOLUTION,
        channels=1,
        width=width,
        context=control.context,
        latents=control.latents,
    ).double()
    parameters: dict[str, Tensor] = {
        name.replace("encoder.net.", "encoder."): parameter
        for name, parameter in control.named_parameters()
    }
    steps = {r: list(all_steps) for r, all_steps in noise.items()}
    options = {"beta": beta}
    return functional_call(oracle, parameters, (video, steps), options, strict=True)["loss"]


def gradients(loss: Tensor, model: nn.Module) -> dict[str, Tensor]:
    names, parameters = zip(*model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))


@pytest.mark.parametrize(
    ("latents", "context", "length", "beta", "width"),
    [
        ((1, 4, 8), 2, 5, 1.0, 16),
        ((1, 4, 8), 1, 3, 0.3, 16),
        ((1, 8), 3, 5, 1.0, 16),
        ((1, 4, 8, 16), 2, 4, 1.0, 16),
        ((1,), 2, 4, 1.0, 16),
        ((4, 16), 2, 4, 1.0, 16),
        ((1, 4, 8), 2, 4, 1.0, 3),
    ],
)
def test_equals_its_oracle(
    latents: tuple[int, ...], context: int, length: int, beta: float, width: int
) -> None:
    control, video = build(latents, context, width), clip(length)
    sizes = hv.channels_of(RESOLUTION, width)
    noise = {r: randn(length - context, B, sizes[r], r, r, seed=r) for r in latents}
    loss, expected = control(video, beta, noise), oracle_loss(control, video, noise, beta, width)
    close(loss, expected)
    found, wanted = gradients(loss, control), gradients(expected, control)
    assert any(float(g.abs().max()) > 1 for g in wanted.values())
    for name in wanted:
        scale = float(wanted[name].abs().max())
        assert scale > 0 or width < WIDTH, name
        assert float((found[name] - wanted[name]).abs().max()) < 1e-9 * (scale + 1), name


def test_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        control = HVRNN(ResidualEncoder(3))
    assert sum(p.numel() for p in control.parameters()) == 224_443_715


def test_draws_its_own_noise() -> None:
    encoder = ResidualEncoder(1, resolution=RESOLUTION, width=WIDTH)
    control, video = HVRNN(encoder, channels=1, latents=(1, 4, 8)), clip(4).float()
    assert control(video).shape == ()
    assert control(video).isfinite() and control(video) != control(video)


def test_refuses_latents_without_maps() -> None:
    with pytest.raises(ValueError, match=r"latents at \[32\]; the encoder has maps at \[1, 4, 8"):
        HVRNN(Pyramid())


@pytest.mark.parametrize("s", [1, 2, 8])
def test_repeated_maps_are_added_as_by_nearest_neighbours(s: int) -> None:
    fine, coarse = randn(2, 3, 8, 8), randn(2, 3, s, s, seed=1)
    for layout in (torch.contiguous_format, torch.channels_last):
        found = add_repeated(fine.contiguous(memory_format=layout), coarse)
        close(found, fine + nn.functional.interpolate(coarse, 8, mode="nearest"))
        assert found.is_contiguous(memory_format=layout)
