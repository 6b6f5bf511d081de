"""The hand-written losses are those of the oracles: same parameters, noise, loss, gradients.

The oracles read the controls' own parameters, so that both losses have gradients in one place.
"""

import pytest
import torch
from torch import Tensor, nn

from benchmarks import controls
from benchmarks.controls.cwvae import Cell
from benchmarks.controls.dlh import Contextual, Level
from tests.oracles import cwvae as cw
from tests.oracles import dlh as dl
from tests.oracles.equations import Weights
from tests.oracles.tiny import close, randn

B = 3


class Encoder(nn.Module):
    """[N, 1, 2, 2] -> [N, 5]."""

    features = 5

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 5)

    def forward(self, frames: Tensor) -> Tensor:
        return torch.tanh(self.linear(frames.flatten(1)))


class Decoder(nn.Module):
    """[N, inputs] -> [N, 1, 2, 2]."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.linear = nn.Linear(inputs, 4)

    def forward(self, states: Tensor) -> Tensor:
        return self.linear(states).unflatten(-1, (1, 2, 2))


def randomise(control: nn.Module, seed: int) -> None:
    """Fixed random parameters, of a scale that makes the KLs some nats and lets gates move."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in control.parameters():
            fan_in = 100 if parameter.ndim == 1 else parameter.shape[1]
            parameter.normal_(std=fan_in**-0.5, generator=generator)


def layer(linear: nn.Module) -> Weights:
    return {"weight": linear.weight, "bias": linear.bias}


def layers(sequential: nn.Module) -> list[Weights]:
    return [layer(m) for m in sequential.modules() if isinstance(m, nn.Linear)]


def gru(module: nn.Module) -> Weights:
    return {name.removesuffix("_l0"): value for name, value in module.named_parameters()}


def gradients(loss: Tensor, model: nn.Module) -> dict[str, Tensor]:
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return dict(zip(names, found, strict=True))


def compare(control: nn.Module, loss: Tensor, expected: Tensor) -> None:
    close(loss, expected)
    found, wanted = gradients(loss, control), gradients(expected, control)
    for name in wanted:
        scale = float(wanted[name].abs().max()) + 1.0
        assert float((found[name] - wanted[name]).abs().max()) < 1e-10 * scale, name


def cell_weights(cell: Cell) -> Weights:
    """The oracle's names for a cell of the control."""
    S = cell.state
    w: Weights = {"gru": gru(cell.gru)}
    for number, part in (("w1 b1", cell.joint), ("w2 b2", cell.prior)):
        w |= dict(zip(number.split(), (part.weight, part.bias), strict=True))
    for number, part in (("v1 d1", cell.posterior1), ("v2 d2", cell.posterior2)):
        w |= dict(zip(number.split(), (part.weight, part.bias), strict=True))
    for names, head in (("wm ws bm bs", cell.prior_head), ("vm vs dm ds", cell.posterior_head)):
        weight, bias = head.weight, head.bias
        values = (weight[:S], weight[S:], bias[:S], bias[S:])
        w |= dict(zip(names.split(), values, strict=True))
    return w


@pytest.mark.parametrize(
    ("levels", "factor", "frames"), [(1, 6, 5), (2, 1, 4), (3, 2, 7), (3, 2, 8), (3, 3, 4)]
)
def test_cwvae_equals_its_oracle(levels: int, factor: int, frames: int) -> None:
    control = controls.CWVAE(
        Encoder(),
        Decoder(7),
        levels=levels,
        factor=factor,
        state=3,
        memory=4,
        hidden=6,
        mlp=5,
        std=0.7,
    ).double()
    randomise(control, seed=0)
    weights: Weights = {"levels": []}
    for level, cell in enumerate(control.cells):
        assert isinstance(cell, Cell)
        weights["levels"].append(cell_weights(cell))
        if level > 0:
            weights["levels"][level]["mlp"] = layers(control.mlps[level - 1])
    noise = cw.random_noise(levels=levels, factor=factor, frames=frames, batch=B, state=3)
    video = randn(B, frames, 1, 2, 2)
    out = cw.cwvae(
        video,
        weights,
        noise,
        levels=levels,
        factor=factor,
        std=0.7,
        encode=lambda v: control.encoder(v.flatten(0, 1)).unflatten(0, (B, frames)),
        decode=lambda s: control.decoder(s.flatten(0, 1)).unflatten(0, (B, frames)),
    )
    compare(control, control(video, noise=[torch.stack(n) for n in noise]), out["loss"])


def contextual(module: Contextual) -> list[Weights]:
    first = {
        "weight": torch.cat([module.project.weight, module.context.weight], 1),
        "bias": module.project.bias,
    }
    return [first, *layers(module.rest)]


def level_weights(level: Level) -> Weights:
    """The oracle's names for a level of the control."""
    w: Weights = {
        "decoder": contextual(level.context),
        "temporal": gru(level.temporal),
        "posterior": contextual(level.posterior),
        "prior": contextual(level.prior),
    }
    if level.factor is not None and level.factor_out is not None:
        w |= {"factor": gru(level.factor), "factor_out": layer(level.factor_out)}
    return w


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
@pytest.mark.parametrize("beta", [0.3, 1.0])
def test_dlh_equals_its_oracle(levels: int, beta: float) -> None:
    frames = 9
    control = controls.DLH(
        Encoder(), Decoder(6), levels=levels, state=3, memory=4, width=6, hidden=5, head=4, std=0.7
    ).double()
    randomise(control, seed=25)
    weights: Weights = {"embed": layer(control.embed), "levels": []}
    for n, level in enumerate(control.stack()):
        weights["levels"].append(level_weights(level))
        if n < levels - 1:
            weights["levels"][n]["encoder"] = layers(control.upward[n])
    noise = dl.random_noise(levels=levels, frames=frames, batch=B, state=3)
    video = randn(B, frames, 1, 2, 2)
    out = dl.dlh(
        video,
        weights,
        noise,
        levels=levels,
        std=0.7,
        beta=beta,
        encode=lambda v: control.encoder(v.flatten(0, 1)).unflatten(0, (B, frames)),
        decode=lambda c: control.decoder(c.flatten(0, 1)).unflatten(0, (B, frames)),
    )
    e = out["e"][:, 1:]
    assert all(0 < float(e[..., n].mean()) < 1 for n in range(1, levels)), (
        "both outcomes, or no test"
    )
    compare(control, control(video, beta, noise=[torch.stack(n) for n in noise]), out["loss"])


def test_controls_draw_their_own_noise() -> None:
    video = randn(B, 5, 1, 2, 2)
    cwvae = controls.CWVAE(Encoder(), Decoder(7), factor=2, state=3, memory=4, hidden=6, mlp=5)
    dlh = controls.DLH(Encoder(), Decoder(6), state=3, memory=4, width=6, hidden=5, head=4)
    for control in (cwvae.double(), dlh.double()):
        assert control(video).shape == ()
        assert control(video) != control(video)


def test_controls_refuse_a_decoder_of_another_width() -> None:
    with pytest.raises(ValueError, match="build it with inputs=7"):
        controls.CWVAE(Encoder(), Decoder(6), state=3, memory=4)
    with pytest.raises(ValueError, match="build it with inputs=5"):
        controls.DLH(Encoder(), Decoder(6), width=5)
