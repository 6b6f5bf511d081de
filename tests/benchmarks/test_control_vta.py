"""VTA's hand-written loss is its oracle's: same parameters, noise, loss, gradients.

The oracle reads views of the control's parameters, so that both losses have gradients in one
place.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from benchmarks.controls.vta import VTA, Noise
from pyrovp.nets.strided import StridedDecoder, StridedEncoder
from tests.oracles import vta as vt
from tests.oracles.tiny import close, randn

__all__: list[str] = []

B, FEATURES, BELIEF, STATE = 3, 4, 6, 2


class Oracle(nn.Module):
    """The oracle's loss as a module, whose parameters another's can stand in for."""

    def __init__(self) -> None:
        super().__init__()
        self.network = vt.VTA(1, 16, features=FEATURES, belief=BELIEF, state=STATE)

    def forward(self, *args: Any, **options: Any) -> dict[str, Any]:
        video, noise = args
        return vt.vta(video, self.network, noise, **options)


def control(**options: Any) -> VTA:
    """Weights of a scale that makes the KLs some nats and lets the gates differ."""
    encoder, decoder = StridedEncoder(1, 16, FEATURES), StridedDecoder(FEATURES, 1, 16)
    module = VTA(encoder, decoder, belief=BELIEF, state=STATE, **options).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            wide = 0.3 if parameter.ndim == 1 else 1.5 * parameter[0].numel() ** -0.5
            drawn = wide * torch.randn(parameter.shape, generator=generator).double()
            norm = parameter.ndim == 1 and name.endswith("weight")
            parameter.copy_(drawn + 1 if norm else drawn)
    return module


def oracle_name(name: str) -> str:
    """The oracle's name of a control's parameter, heads aside."""
    part, _, rest = name.partition(".")
    if part == "fwd":
        return name.removesuffix("_l0")
    if part == "posterior_gate":
        _, number, last = rest.split(".")
        index, within = divmod(int(number), 3)
        layer = f"{'norms' if within else 'convolutions'}.{index}" if index < 3 else "out"
        return f"{part}.{layer}.{last}"
    if rest.startswith("image."):
        return f"{part}.convolutions.2.{rest.removeprefix('image.')}"
    if rest.startswith("layers."):
        _, number, kind, last = rest.split(".")
        return f"{part}.{'norms' if kind == 'norm' else 'convolutions'}.{number}.{last}"
    return name


def oracle_parameters(module: VTA) -> dict[str, Tensor]:
    """The control's parameters under the oracle's names."""
    found: dict[str, Tensor] = {}
    for name, parameter in module.named_parameters():
        part, _, last = name.partition(".")
        if part in ("prior_z", "posterior_z", "prior_s", "posterior_s"):
            found[f"{part}.mean.{last}"], found[f"{part}.std.{last}"] = parameter.chunk(2)
        else:
            found[oracle_name(name)] = parameter
    return {f"network.{name}": value for name, value in found.items()}


def gradients(loss: Tensor, module: nn.Module) -> dict[str, Tensor]:
    names, parameters = zip(*module.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return dict(zip(names, found, strict=True))


@pytest.mark.parametrize(("resolution", "parameters"), [(32, 2_235_975), (64, 2_760_775)])
def test_parameter_count(resolution: int, parameters: int) -> None:
    with torch.device("meta"):
        module = VTA(StridedEncoder(3, resolution), StridedDecoder(128, 3, resolution))
    assert sum(p.numel() for p in module.parameters()) == parameters


def test_all_parameters_are_the_oracle_s() -> None:
    mapped, oracle = oracle_parameters(control()), Oracle()
    shapes = {name: parameter.shape for name, parameter in oracle.named_parameters()}
    assert {name: value.shape for name, value in mapped.items()} == shapes


@pytest.mark.parametrize(
    ("frames", "given", "tail", "temperature", "rules"),
    [
        (1, 1, 1, 1.0, {}),
        (2, 2, 1, 0.1, {}),
        (6, 2, 2, 0.5, {}),
        (6, 1, 3, 1.0, {"number": 3, "length": 3}),
        (9, 2, 1, 0.3, {"number": 2, "length": 4}),
    ],
)
def test_loss_and_gradients_are_those_of_the_oracle(
    frames: int, given: int, tail: int, temperature: float, rules: dict[str, int]
) -> None:
    module = control(given=given, tail=tail, std=0.7, **rules)
    video = torch.tanh(randn(B, given + frames + tail, 1, 16, 16, seed=1))
    noise = vt.random_noise(batch=B, frames=frames, state=STATE, seed=6)
    out = functional_call(
        Oracle().double(),
        oracle_parameters(module),
        (video, noise),
        {"given": given, "tail": tail, "temperature": temperature, "std": 0.7, **rules},
    )
    free = out["m"][:, given + 1 : given + frames]
    assert frames < 6 or set(free.unique().tolist()) == {0.0, 1.0}, "both outcomes, or no test"
    ruled = out["prior_logits"].detach().abs() == vt.LIMIT
    assert bool(ruled.any()) == bool(rules)

    time_first = Noise(*(part.transpose(0, 1) for part in noise))
    loss = module(video, temperature, noise=time_first)
    close(loss, out["loss"])
    found, wanted = gradients(loss, module), gradients(out["loss"], module)
    for name, gradient in wanted.items():
        scale = float(gradient.abs().max()) + 1.0
        assert float((found[name] - gradient).abs().max()) < 1e-10 * scale, name


def test_draws_its_own_noise() -> None:
    module, video = control(given=1, tail=1), torch.tanh(randn(B, 4, 1, 16, 16))
    assert module(video).shape == ()
    assert module(video) != module(video)
    drawn = module.noise(torch.zeros(0), frames=50, batch=400)
    assert bool(drawn.gates.isfinite().all()) and drawn.gates.shape == (50, 400)
    # The variance of the logistic distribution is pi^2 / 3. 20 000 draws, five standard errors:
    # fails by chance once in two million.
    assert abs(float(drawn.gates.var()) - 3.29) < 0.21
    assert drawn.z.shape == drawn.s.shape == (50, 400, STATE)


def test_refuses_clips_that_leave_nothing_to_predict() -> None:
    module = control(given=2, tail=2)
    with pytest.raises(ValueError, match="use at least 5"):
        module(torch.zeros(B, 4, 1, 16, 16).double())
    with pytest.raises(ValueError, match="given=0 and tail=1"):
        control(given=0, tail=1)
