"""The VTA oracle: counts, densities by torch.distributions, segments by brute force, limits.

A clip has G = 2 given frames, T = 5 predicted ones and a tail of 2.
"""

from typing import Any

import pytest
import torch
import torch.distributions as td
from torch import Tensor, nn
from torch.distributions.relaxed_bernoulli import LogitRelaxedBernoulli

from tests.oracles import vta as vt
from tests.oracles.equations import Belief
from tests.oracles.tiny import close, randn

B, G, T, TAIL = 3, 2, 5, 2
FEATURES, BELIEF, STATE = 4, 6, 2
PREDICTED = slice(G, G + T)


def network(seed: int = 0, resolution: int = 16) -> vt.VTA:
    """Weights of a scale that makes the KLs some nats and lets the gates differ."""
    net = vt.VTA(1, resolution, features=FEATURES, belief=BELIEF, state=STATE).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            wide = 0.3 if parameter.ndim == 1 else 1.5 * parameter[0].numel() ** -0.5
            parameter.copy_(wide * torch.randn(parameter.shape, generator=generator).double())
        for norm in net.modules():
            if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
                assert norm.weight is not None
                norm.weight.add_(1.0)
    return net


def video(frames: int = G + T + TAIL, seed: int = 1) -> Tensor:
    return torch.tanh(randn(B, frames, 1, 16, 16, seed=seed))


def noise(frames: int = T, seed: int = 6) -> vt.Noise:
    return vt.random_noise(batch=B, frames=frames, state=STATE, seed=seed)


def run(net: vt.VTA | None = None, **options: Any) -> dict[str, Any]:
    settings = {"given": G, "tail": TAIL, "temperature": 0.7} | options
    clip, drawn = settings.pop("video", video()), settings.pop("noise", noise())
    return vt.vta(clip, network() if net is None else net, drawn, **settings)


def gradients(loss: Tensor, net: nn.Module) -> dict[str, Tensor]:
    names, parameters = zip(*net.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters, materialize_grads=True, retain_graph=True)
    return dict(zip(names, found, strict=True))


@pytest.mark.parametrize(("resolution", "parameters"), [(32, 2_235_975), (64, 2_760_775)])
def test_parameter_count(resolution: int, parameters: int) -> None:
    with torch.device("meta"):
        net = vt.VTA(channels=3, resolution=resolution)
    assert sum(p.numel() for p in net.parameters()) == parameters


@pytest.mark.parametrize("resolution", [8, 16, 32, 64])
def test_frame_networks_fit_every_resolution(resolution: int) -> None:
    net = vt.VTA(channels=2, resolution=resolution, features=4, belief=4)
    x = net.encode(torch.zeros(2, 3, 2, resolution, resolution))
    assert x.shape == (2, 3, 4)
    assert net.decode(x).shape == (2, 3, 2, resolution, resolution)


def test_shapes() -> None:
    out = run()
    every = {"x": FEATURES, "fwd": BELIEF, "bwd": BELIEF, "obsfwd": BELIEF}
    for name, size in every.items():
        assert out[name].shape == (B, G + T + TAIL, size)
    sizes = {"c": BELIEF, "z": STATE, "a": BELIEF, "h": BELIEF, "s": STATE, "o": FEATURES}
    for name, size in sizes.items():
        assert out[name].shape == (B, T, size)
    for name in ("posterior_logits", "y", "prior_logits", "nll", "kl_z", "kl_s", "gate"):
        assert out[name].shape == (B, T)
    assert out["m"].shape == (B, G + T + TAIL)
    assert out["frames"].shape == (B, T, 1, 16, 16)
    assert 0.9 < float(out["frames"].detach().abs().max()) < 1, "tanh comes last"
    assert out["loss"].shape == ()


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
def test_gate_density_is_that_of_a_relaxed_bernoulli(temperature: float) -> None:
    logit, y = 3 * randn(50, seed=1), 3 * randn(50, seed=2)
    tau = torch.tensor(temperature, dtype=torch.float64)
    expected = LogitRelaxedBernoulli(tau, logits=logit).log_prob(y)
    close(vt.gate_log_density(y, logit, temperature), expected)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_gates_are_samples_of_that_density(temperature: float) -> None:
    """(logit + noise) / tau lies below each of five quantiles as often as it should: 20 000
    draws, 4.5 standard errors, fails by chance once in 29 000."""
    drawn = vt.random_noise(batch=20_000, frames=1, state=1, seed=3).gates[:, 0]
    y = (0.8 + drawn) / temperature
    for p in (0.1, 0.3, 0.5, 0.7, 0.9):
        quantile = (0.8 + torch.logit(torch.tensor(p, dtype=torch.float64))) / temperature
        share = float((y < quantile).double().mean())
        assert abs(share - p) < 4.5 * (p * (1 - p) / 20_000) ** 0.5


def test_terms_are_those_of_torch_distributions() -> None:
    out = run(std=0.7)
    tau = torch.tensor(0.7, dtype=torch.float64)
    q = LogitRelaxedBernoulli(tau, logits=out["posterior_logits"])
    p = LogitRelaxedBernoulli(tau, logits=out["prior_logits"])
    close(out["gate"], q.log_prob(out["y"]) - p.log_prob(out["y"]))

    def kl(name: str) -> Tensor:
        q, p = td.Normal(*out[f"posterior_{name}"]), td.Normal(*out[f"prior_{name}"])
        return td.kl_divergence(q, p).sum(-1)

    close(out["kl_z"], out["m"][:, PREDICTED] * kl("z"))
    close(out["kl_s"], kl("s"))
    nll = -td.Normal(out["frames"], 0.7).log_prob(video()[:, PREDICTED]).sum((2, 3, 4))
    close(out["nll"], nll)
    close(out["loss"], (nll + out["kl_z"] + out["kl_s"] + out["gate"]).mean())


def test_boundaries_are_forced_around_the_predicted_frames_and_drawn_within() -> None:
    out = run()
    m = out["m"]
    assert bool((m[:, : G + 1] == 1).all()) and bool((m[:, G + T :] == 1).all())
    free = m[:, G + 1 : G + T]
    assert torch.equal(free == 1, out["y"][:, :-1] > 0)
    assert set(free.unique().tolist()) == {0.0, 1.0}, "both outcomes, or the tests check nothing"
    assert bool((out["y"][:, -1] < 0).any()), "a forced boundary whose drawn gate is no boundary"


def test_index_0_of_both_gate_heads_is_a_boundary() -> None:
    net = network()
    net.prior_gate.state_dict()["bias"][0] += 2.0
    net.posterior_gate.out.state_dict()["bias"][0] += 3.0
    before, after = run(forced=torch.ones(B, T - 1)), run(net, forced=torch.ones(B, T - 1))
    close(after["free_prior_logits"], before["free_prior_logits"] + 2)
    close(after["posterior_logits"], before["posterior_logits"] + 3)


def test_straight_through_is_a_threshold_with_the_gradient_of_the_logistic_function() -> None:
    y = torch.tensor([-2.0, -0.1, 0.3, 4.0]).double().requires_grad_()
    m = vt.straight_through(y)
    assert m.tolist() == [0, 0, 1, 1]
    (gradient,) = torch.autograd.grad(m.sum(), y)
    soft = torch.sigmoid(y.detach())
    close(gradient, soft * (1 - soft))


def test_temperature_does_not_move_the_loss_but_its_gradients() -> None:
    net = network()
    outs = {tau: run(net, temperature=tau) for tau in (0.1, 0.5, 1.0)}
    found = {tau: gradients(out["loss"], net) for tau, out in outs.items()}
    for tau in (0.5, 1.0):
        for name in ("m", "gate", "kl_z", "kl_s", "nll", "loss"):
            close(outs[tau][name], outs[0.1][name])
        close(outs[tau]["y"] * tau, outs[0.1]["y"] * 0.1)
        moved = {name for name, g in found[tau].items() if not torch.allclose(g, found[0.1][name])}
        assert {"posterior_gate.out.weight", "encoder.convolutions.0.weight"} <= moved
        assert not any(name.startswith(("decoder", "prior", "posterior_z")) for name in moved)


def test_loss_and_gradients_are_finite_at_the_lowest_temperature() -> None:
    net = network()
    with torch.no_grad():
        net.posterior_gate.out.weight.mul_(100)
        net.prior_gate.weight.mul_(100)
    loss = run(net, temperature=0.1)["loss"]
    assert bool(loss.isfinite())
    assert all(bool(g.isfinite().all()) for g in gradients(loss, net).values())


def segments(m: Tensor) -> list[range]:
    """The frames of each segment of one clip."""
    starts = [t for t in range(len(m)) if t == 0 or m[t] == 1]
    return [range(a, b) for a, b in zip(starts, [*starts[1:], len(m)], strict=True)]


def unrolled(cell: nn.GRUCell, x: Tensor) -> Tensor:
    """[frames, D]: the memory after each of the frames [frames, F]."""
    gru = nn.GRU(cell.input_size, cell.hidden_size).double()
    gru.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    out: Tensor = gru(x)[0]
    return out


def test_summaries_are_those_of_each_segment() -> None:
    net, out = network(), run()
    lengths = set()
    for b in range(B):
        x = out["x"][b]
        close(out["fwd"][b], unrolled(net.fwd, x))
        for frames in segments(out["m"][b]):
            lengths.add(len(frames))
            inside = slice(frames.start, frames.stop)
            close(out["obsfwd"][b, inside], unrolled(net.obsfwd, x[inside]))
            close(out["bwd"][b, inside], unrolled(net.bwd, x[inside].flip(0)).flip(0))
    assert len(lengths) > 2, "segments of several lengths, or the test checks little"


def normal(belief: Belief) -> td.Normal:
    return td.Normal(belief.mean, belief.std)


@pytest.mark.parametrize("boundaries", [True, False])
def test_limits_are_models_without_gates(boundaries: bool) -> None:
    """Always: a chain of (c, z), each frame on its own below it. Never: one segment, one z."""
    net, drawn = network(), noise()
    forced = torch.full((B, T - 1), float(boundaries)).double()
    out = run(net, forced=forced)
    x, zeros = out["x"], torch.zeros(B, BELIEF).double()
    evidence = torch.stack([unrolled(net.fwd, x[b]) for b in range(B)])
    c, kl_z, kl_s, features = evidence[:, G - 1], [], [], []
    whole_fwd, whole_bwd = [zeros], [zeros]
    for i in range(T):
        whole_fwd.append(net.obsfwd(x[:, G + i], whole_fwd[-1]))
        whole_bwd.append(net.bwd(x[:, G + T - 1 - i], whole_bwd[-1]))
    a = s = h = z = zeros
    for i in range(T):
        t = G + i
        if boundaries or i == 0:
            c = net.abstract_cell(z, c) if i > 0 else c
            ahead = net.bwd(x[:, t], zeros) if boundaries else whole_bwd[-1]
            q = net.posterior_z(evidence[:, t - 1], ahead)
            kl_z.append(td.kl_divergence(normal(q), normal(net.prior_z(c))).sum(-1))
            z = q.mean + q.std * drawn.z[:, i]
            a = h = net.abstract_feature(torch.cat([c, z], -1))
        else:
            h = net.observed_cell(torch.cat([s, a], -1), h)
        past = net.obsfwd(x[:, t], zeros) if boundaries else whole_fwd[i + 1]
        q = net.posterior_s(past, a)
        kl_s.append(td.kl_divergence(normal(q), normal(net.prior_s(h))).sum(-1))
        s = q.mean + q.std * drawn.s[:, i]
        features.append(net.observed_feature(torch.cat([h, s], -1)))
    close(out["kl_z"].sum(1), sum(kl_z, torch.zeros(B)))
    close(out["kl_s"], torch.stack(kl_s, 1))
    close(out["frames"], net.decode(torch.stack(features, 1)))
    assert set(out["m"][:, G + 1 : G + T].unique().tolist()) == {float(boundaries)}


def test_held_frames_hold_the_abstract_level_and_boundaries_reset_the_other() -> None:
    out = run()
    m = out["m"][:, PREDICTED]
    for name in "cza":
        same = (out[name][:, 1:] == out[name][:, :-1]).all(-1)
        assert torch.equal(same, m[:, 1:] == 0)
    assert torch.equal((out["h"] == out["a"]).all(-1), m == 1)
    assert torch.equal(out["kl_z"] == 0, m == 0)


def gate_gradient(value: Tensor, of: Tensor) -> Tensor:
    """Which gates a value has a gradient of, [B, T]."""
    (gradient,) = torch.autograd.grad(value.sum(), of, retain_graph=True)
    return gradient != 0


@pytest.mark.parametrize("name", ["c", "z", "h", "nll", "kl_s"])
def test_every_mixing_sends_gradient_into_the_free_gates(name: str) -> None:
    drawn = noise()
    drawn.gates.requires_grad_()
    out = run(noise=drawn)
    reached = gate_gradient(out[name], drawn.gates)
    assert bool(reached[:, :-1].all()) and not bool(reached[:, -1].any())
    early = gate_gradient(out[name][:, 0], drawn.gates)
    assert bool(early.any()) == (name != "c"), "bwd reaches the first z; nothing its c"


def test_gradients_of_the_gates_are_those_of_the_mixtures() -> None:
    """By finite differences around the drawn gates, and from there to the logits behind them."""
    drawn, names = noise(), ("z", "h", "nll", "kl_s")
    drawn.gates.requires_grad_()
    out = run(noise=drawn)
    m = out["m"][:, G + 1 : G + T].detach().requires_grad_()

    def sums(m: Tensor) -> tuple[Tensor, ...]:
        return tuple(run(forced=m)[name].sum() for name in names)

    assert torch.autograd.gradcheck(sums, m, fast_mode=True)
    soft = torch.sigmoid(out["y"][:, :-1])
    for name, value in zip(names, sums(m), strict=True):
        (of_m,) = torch.autograd.grad(value, m)
        (of_noise,) = torch.autograd.grad(out[name].sum(), drawn.gates, retain_graph=True)
        close(of_noise[:, :-1], of_m * soft * (1 - soft) / 0.7)


@pytest.mark.parametrize("name", ["bwd", "obsfwd"])
def test_resets_of_the_summaries_have_gradients(name: str) -> None:
    drawn = noise()
    drawn.gates.requires_grad_()
    out = run(noise=drawn)
    for i in range(T - 1):  # the gate of frame G + 1 + i
        at = G + i if name == "bwd" else G + 1 + i
        assert bool(gate_gradient(out[name][:, at], drawn.gates)[:, i].all())


def test_weight_of_the_kl_of_z_has_no_gradient() -> None:
    drawn = noise()
    drawn.gates.requires_grad_()
    out = run(noise=drawn)
    held = out["m"][:, PREDICTED] == 0
    assert bool(held.any())
    (gradient,) = torch.autograd.grad(out["kl_z"][held].sum(), drawn.gates)
    assert not bool(gradient.any())


@pytest.mark.parametrize(
    ("m", "expected"),
    [
        ([1, 0, 0, 0], "...."),
        ([1, 0, 0, 0, 0, 0, 0, 0], ".......+"),
        ([1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], ".......++.."),
        ([1, 1, 1, 1, 1], "....-"),
        ([1, 0, 1, 1, 0, 1, 1, 0, 0, 1], "......----"),
        ([1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0], "....-------++"),
    ],
)
def test_rules_of_segment_number_and_length(m: list[int], expected: str) -> None:
    logits = randn(2, len(m))
    gates = torch.tensor([m, m]).double()
    limit = 2 * torch.log(torch.tensor(999.0).double())
    values = {".": logits, "+": limit.expand_as(logits), "-": -limit.expand_as(logits)}
    wanted = torch.stack([values[rule][:, i] for i, rule in enumerate(expected)], 1)
    close(vt.regulated(logits, gates), wanted)
    assert 13.81 < float(limit) < 13.82


def test_rules_act_on_the_prior_of_the_next_gate_alone() -> None:
    options: dict[str, Any] = {"number": 2, "length": 3}
    free, ruled = run(regulate=False), run(**options)
    m = free["m"][:, PREDICTED]
    close(ruled["prior_logits"], vt.regulated(free["prior_logits"], m, **options))
    assert bool((ruled["prior_logits"].abs() == vt.LIMIT).any())
    for name in ("posterior_logits", "y", "m", "frames", "kl_z", "kl_s"):
        assert torch.equal(free[name], ruled[name])
    assert not torch.equal(free["gate"], ruled["gate"])


def test_tail_reaches_the_predicted_frames_through_gates_and_batch_norm_only() -> None:
    changed = video()
    changed[:, -TAIL:] = video(seed=5)[:, -TAIL:]
    net, forced = network(), torch.ones(B, T - 1)
    names = ("nll", "kl_z", "kl_s", "free_prior_logits")
    for training in (True, False):
        net.train(training)
        here, there = (run(net, video=clip, forced=forced) for clip in (video(), changed))
        assert all(torch.equal(here[n], there[n]) == (not training) for n in names)
        assert not torch.equal(here["gate"], there["gate"])


def replayed(out: dict[str, Any], net: vt.VTA) -> vt.Noise:
    """The noise with which the prior draws what the posterior drew."""

    def standard(value: Tensor, p: Belief) -> Tensor:
        return (value - p.mean) / p.std

    wanted = 2 * out["m"][:, G + 1 : G + T + 1] - 1
    gates = wanted * 1e3
    return vt.Noise(gates, standard(out["z"], out["prior_z"]), standard(out["s"], out["prior_s"]))


def test_generation_is_the_model_of_the_training_loss() -> None:
    net = network().eval()
    out = run(net)
    drawn = replayed(out, net)
    made = vt.generate(net, video()[:, :G], drawn)
    for name in ("c", "z", "a", "h", "s", "o", "frames"):
        close(made[name], out[name], rtol=1e-8, atol=1e-8)
    close(made["logits"], out["free_prior_logits"], rtol=1e-8, atol=1e-8)
    assert torch.equal(made["m"], out["m"][:, PREDICTED])


def test_gate_noise_of_zeros_takes_the_likelier_gate() -> None:
    drawn = noise(frames=12)._replace(gates=torch.zeros(B, 12))
    made = vt.generate(network(seed=4).eval(), video()[:, :G], drawn)
    assert bool((made["m"][:, 0] == 1).all())
    assert torch.equal(made["m"][:, 1:] == 1, made["logits"][:, :-1] > 0)
    assert made["m"].unique().numel() == 2


def test_jumps_are_predictions_in_which_every_frame_is_a_boundary() -> None:
    net, drawn = network().eval(), noise()
    always = drawn._replace(gates=torch.full((B, T), 1e3))
    frames = vt.generate(net, video()[:, :G], always)["frames"]
    close(vt.jump(net, video()[:, :G], drawn.z, drawn.s), frames)
