"""The SVG-LP oracle: counts, a case by hand, KL and ELBO by torch.distributions, who sees what."""

import math
from typing import Any, Literal

import pytest
import torch
import torch.distributions as td
from torch import Tensor, nn

from tests.oracles import svg
from tests.oracles.svg import Frozen, Statistics
from tests.oracles.svg_nets import DCGANDecoder, DCGANEncoder, Skips, VGGDecoder, VGGEncoder
from tests.oracles.tiny import close, randn

B, T, Z, G = 3, 5, 2, 4
NETS = {
    "dcgan": (DCGANEncoder, DCGANDecoder),
    "vgg": (VGGEncoder, VGGDecoder),
}
FROZEN: list[Frozen] = ["paper", "implementation"]


def build(nets: str = "dcgan", channels: int = 1) -> svg.SVG:
    """A system so narrow that it runs at once."""
    encoder, decoder = NETS[nets]
    model = svg.SVG(
        encoder(channels, 16, G, width=1),
        decoder(channels, 16, G, width=1),
        features=G,
        state=Z,
        hidden=3,
    ).double()
    svg.randomise(model)
    return model


def clip(channels: int = 1) -> Tensor:
    return torch.sigmoid(randn(B, T, channels, 16, 16, seed=7))


def noise(batch: int = B) -> Tensor:
    return svg.random_noise(frames=T, batch=batch, state=Z)


@pytest.mark.parametrize(
    ("nets", "channels", "state", "parameters"),
    [("dcgan", 1, 10, 12_614_057), ("vgg", 3, 64, 22_831_747)],
)
def test_parameter_count(nets: str, channels: int, state: int, parameters: int) -> None:
    encoder, decoder = NETS[nets]
    with torch.device("meta"):
        model = svg.SVG(encoder(channels), decoder(channels), state=state)
    assert sum(p.numel() for p in model.parameters()) == parameters


# Known answers


class Pixel(nn.Module):
    """Frames of one pixel are their own feature and their own skip."""

    def forward(self, frames: Tensor) -> tuple[Tensor, Skips]:
        return frames.flatten(1), {1: frames}


class Sum(nn.Module):
    """mean = d + skip / 2."""

    def forward(self, features: Tensor, skips: Skips) -> Tensor:
        return features[:, :, None, None] + skips[1] / 2


def lstm(w: float, x: float, h: float, c: float) -> tuple[float, float]:
    """All weights w, no bias: the gates i, f, g, o read the same number."""
    total = w * x + w * h
    gate = 1 / (1 + math.exp(-total))
    c = gate * c + gate * math.tanh(total)
    return gate * math.tanh(c), c


def test_three_frames_by_hand() -> None:
    """One number per size, weights constant but where order matters: everything by `math`."""
    model = svg.SVG(Pixel(), Sum(), features=1, state=1, hidden=1).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            weight = {"posterior": 0.7, "prior": -0.4, "predictor": 0.9}[name.split(".")[0]]
            parameter.fill_(0.0 if "bias" in name else weight)
        model.posterior.log_variance.weight.fill_(1.3)
        model.prior.log_variance.weight.fill_(-0.8)
        model.predictor.embed.weight.copy_(torch.tensor([[0.9, 0.5]], dtype=torch.float64))
    x, epsilon = [0.2, 0.9, 0.4], [-0.3, 1.1]
    q, p, first, second = (0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0)
    loss = 0.0
    for t in (1, 2):
        q, p = lstm(0.7, 0.7 * x[t], *q), lstm(-0.4, -0.4 * x[t - 1], *p)
        q_mean, q_log = 0.7 * q[0], 1.3 * q[0]
        p_mean, p_log = -0.4 * p[0], -0.8 * p[0]
        z = q_mean + math.exp(q_log / 2) * epsilon[t - 1]
        first = lstm(0.9, 0.9 * x[t - 1] + 0.5 * z, *first)
        second = lstm(0.9, first[0], *second)
        mean = math.tanh(0.9 * second[0]) + x[0] / 2  # the skip of frame 0, all the context
        squares = math.exp(q_log) + (q_mean - p_mean) ** 2
        kl = (p_log - q_log) / 2 + squares / (2 * math.exp(p_log)) - 0.5
        loss += (mean - x[t]) ** 2 + 0.3 * kl
    video = torch.tensor(x, dtype=torch.float64).view(1, 3, 1, 1, 1)
    drawn = torch.tensor(epsilon, dtype=torch.float64).view(2, 1, 1)
    out = model(video, drawn, context=1, beta=0.3)
    assert out["loss"].item() == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize("nets", ["dcgan", "vgg"])
def test_kl_and_loss_by_torch_distributions(nets: str) -> None:
    video, beta = clip(channels=2), 0.3
    out = build(nets, channels=2)(video, noise(), context=2, beta=beta)
    total = torch.zeros(())
    for t in range(1, T):
        q, p = out["posterior"][t - 1], out["prior"][t - 1]
        kl = td.kl_divergence(td.Normal(*q), td.Normal(*p)).sum(-1)
        close(out["kl"][t - 1], kl)
        close(out["z"][t - 1], q.mean + q.std * noise()[t - 1])
        mse = (out["frames"][:, t - 1] - video[:, t]).square().mean()
        total = total + mse + beta * kl.mean()
    close(out["loss"], total)


def test_loss_is_an_elbo_of_variance_one_half_per_dimension() -> None:
    video, beta = clip(channels=2), 0.3
    D = 2 * 16 * 16
    out = build(channels=2)(video, noise(), context=2, beta=beta)
    recon = td.Normal(out["frames"], math.sqrt(0.5)).log_prob(video[:, 1:]).sum((1, 2, 3, 4))
    close(out["recon"], recon)
    close(out["negative_elbo"], (beta * D * sum(out["kl"]) - recon).mean())
    constant = (T - 1) * math.log(math.pi) / 2
    close(out["loss"] + constant, out["negative_elbo"] / D)


# Who sees what


@pytest.mark.parametrize("context", [1, 2, 3, 5])
@pytest.mark.parametrize("frozen", FROZEN)
def test_skips_freeze(context: int, frozen: Frozen) -> None:
    """With d = 0 the decoder shows half of the frame whose skip it reads."""
    model = svg.SVG(Pixel(), Sum(), features=1, state=Z, hidden=3).double()
    nn.init.zeros_(model.predictor.output.weight)
    nn.init.zeros_(model.predictor.output.bias)
    video = torch.arange(T, dtype=torch.float64).view(1, T, 1, 1, 1)
    out = model(video, noise(batch=1), context=context, frozen=frozen)
    read = [int(2 * frame) for frame in out["frames"].flatten()]
    expected: dict[Any, list[int]] = {
        ("paper", 1): [0, 0, 0, 0],
        ("paper", 2): [0, 1, 1, 1],
        ("paper", 3): [0, 1, 2, 2],
        ("paper", 5): [0, 1, 2, 3],
        ("implementation", 1): [0, 0, 0, 0],
        ("implementation", 2): [0, 0, 0, 0],
        ("implementation", 3): [0, 1, 1, 1],
        ("implementation", 5): [0, 1, 2, 3],
    }
    assert read == expected[frozen, context]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("latents", ["given", "prior"])
@pytest.mark.parametrize("nets", ["dcgan", "vgg"])
@pytest.mark.parametrize("t", range(1, T))
@pytest.mark.parametrize("frozen", FROZEN)
def test_target_does_not_reach_its_prediction(
    t: int, nets: str, latents: str, training: bool, frozen: Frozen
) -> None:
    """Neither through skips, nor features, nor statistics: x_t changes the frames after it."""
    model = build(nets).train(training)
    z: Any = list(noise()) if latents == "given" else "prior"
    video = clip()
    changed = video.clone()
    changed[:, t] = 1 - changed[:, t]
    before, after = (
        model(v, noise(), context=T, frozen=frozen, latents=z)["frames"].flatten(2)
        for v in (video, changed)
    )
    assert torch.equal(before[:, :t], after[:, :t])
    if t < T - 1:
        assert bool((before[:, t] != after[:, t]).any())


def test_pooled_statistics_show_the_future_to_every_frame() -> None:
    """The price of pooling while training; in evaluation there is none."""
    model, video = build(), clip()
    changed = video.clone()
    changed[:, -1] = 1 - changed[:, -1]
    for training in (True, False):
        model.train(training)
        before, after = (
            model(v, noise(), context=2, statistics="pooled", latents="prior")["frames"]
            for v in (video, changed)
        )
        assert bool((before != after).any()) is training


@pytest.mark.parametrize(("belief", "last"), [("posterior", 0), ("prior", -1)])
@pytest.mark.parametrize("t", range(1, T))
def test_beliefs_see_the_frames_up_to_theirs(
    t: int, belief: Literal["posterior", "prior"], last: int
) -> None:
    video = clip().requires_grad_()
    out = build().eval()(video, noise(), context=2)
    (seen,) = torch.autograd.grad(out[belief][t - 1].mean.sum(), video)
    first = 1 if belief == "posterior" else 0
    expected = [first <= s <= t + last for s in range(T)]
    assert [bool(seen[:, s].any()) for s in range(T)] == expected


# BatchNorm


def tracked(module: nn.Module) -> set[int]:
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    return {
        int(norm.num_batches_tracked) for norm in norms if norm.num_batches_tracked is not None
    }


@pytest.mark.parametrize(("statistics", "times"), [("frame", (T, T - 1)), ("pooled", (1, 1))])
@pytest.mark.parametrize("nets", ["dcgan", "vgg"])
def test_networks_are_called_once_per_frame_or_once(
    nets: str, statistics: Statistics, times: tuple[int, int]
) -> None:
    model = build(nets)
    model(clip(), noise(), context=2, statistics=statistics)
    assert tracked(model.encoder) == {times[0]}
    assert tracked(model.decoder) == {times[1]}


def test_running_statistics_follow_the_order_of_frames() -> None:
    model, video = build(), clip()
    stage: Any = model.encoder.get_submodule("stages.0")
    mean, variance = torch.zeros_like(stage.norm.bias), torch.ones_like(stage.norm.bias)
    for t in range(T):
        y = stage.convolution(video[:, t]).transpose(0, 1).flatten(1)
        mean = 0.9 * mean + 0.1 * y.mean(1)
        variance = 0.9 * variance + 0.1 * y.var(1)
    model(video, noise(), context=2)
    close(stage.norm.running_mean, mean)
    close(stage.norm.running_var, variance)


@pytest.mark.parametrize("nets", ["dcgan", "vgg"])
def test_pooled_is_per_frame_in_evaluation_only(nets: str) -> None:
    model, video = build(nets), clip()

    def run(statistics: Statistics) -> Tensor:
        out = model(video, noise(), context=2, statistics=statistics)
        frames: Tensor = out["frames"]
        return frames

    assert not torch.allclose(run("frame"), run("pooled"))
    model.eval()
    close(run("frame"), run("pooled"))


# Generation


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("frozen", FROZEN)
@pytest.mark.parametrize(("nets", "context"), [("dcgan", 1), ("dcgan", 2), ("vgg", 3)])
def test_feeding_back_the_true_frames_is_teacher_forcing(
    nets: str, context: int, frozen: Frozen, training: bool
) -> None:
    model, video = build(nets).train(training), clip()
    made = model.generate(video[:, :context], noise(), frozen=frozen, feedback=video)
    forced = model(video, noise(), context=context, frozen=frozen, latents=made["z"])
    close(made["frames"], forced["frames"][:, context - 1 :])
    for t in range(1, T):
        drawn = forced["posterior" if t < context else "prior"][t - 1]
        close(made["z"][t - 1], drawn.mean + drawn.std * noise()[t - 1])


@pytest.mark.parametrize("context", [1, 2])
def test_generation_goes_on_from_its_own_frames(context: int) -> None:
    model, video = build().eval(), clip()
    given = video[:, :context]
    free = model.generate(given, noise())["frames"]
    assert free.shape == (B, T - context, 1, 16, 16)
    own = torch.cat([given, free], 1)
    close(model.generate(given, noise(), feedback=own)["frames"], free)
    forced = model.generate(given, noise(), feedback=video)["frames"]
    close(forced[:, 0], free[:, 0])
    assert bool((forced[:, 1:] != free[:, 1:]).flatten(2).any(2).all())
