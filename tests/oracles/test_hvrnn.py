"""The HVRNN oracle: published parameter counts, hand-made values, densities, what sees what."""

import math
from typing import Any

import pytest
import torch
import torch.distributions as td
from torch import Tensor, nn

from tests.oracles import hvrnn as hv
from tests.oracles.equations import Belief
from tests.oracles.tiny import close, randn

B, T, CONTEXT = 2, 4, 2
SIZES: dict[str, Any] = {"resolution": 16, "channels": 1, "width": 16, "context": CONTEXT}


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def untouched(**sizes: Any) -> hv.HVRNN:
    """A system whose parameters have shapes and no memory."""
    with torch.device("meta"):
        return hv.HVRNN(**sizes)


def build(seed: int = 0, **sizes: Any) -> hv.HVRNN:
    model = hv.HVRNN(**(SIZES | sizes)).double()
    hv.randomise(model, seed=seed)
    return model


def clip(frames: int = T, resolution: int = 16, seed: int = 3) -> Tensor:
    return torch.sigmoid(randn(B, frames, 1, resolution, resolution, seed=seed))


def noise_for(model: hv.HVRNN, frames: int = T - CONTEXT, seed: int = 0) -> dict[int, Any]:
    return hv.random_noise(model, frames=frames, batch=B, seed=seed)


def replaced(noise: dict[int, Any], r: int, i: int) -> dict[int, Any]:
    """Other noise for map r at predicted frame i."""
    other = {r: list(steps) for r, steps in noise.items()}
    other[r][i] = randn(*noise[r][i].shape, seed=99)
    return other


# Parameters


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({}, 224_443_715),
        ({"latents": (1, 8)}, 220_597_827),
        ({"latents": (1,)}, 166_548_035),
        ({"latents": (1, 8, 16, 32)}, 238_885_699),
        ({"dense": False}, 224_181_571),
        ({"lean": True}, 224_443_715 - 2**26),
    ],
)
def test_parameter_count(options: dict[str, Any], parameters: int) -> None:
    assert count(untouched(**options)) == parameters


@pytest.mark.parametrize(
    ("options", "millions", "uncalled"),
    [
        ({"latents": (1,)}, 166.55, 0),
        ({"latents": (1, 8)}, 220.60, 0),
        ({"dense": False}, 224.18, 0),
        ({}, 230.74, 6_300_672),
        ({"latents": (1, 8, 16, 32)}, 245.19, 6_300_672),
    ],
)
def test_counts_are_those_of_table_2(
    options: dict[str, Any], millions: float, uncalled: int
) -> None:
    """The two larger dense networks were published with layers that are never called."""
    assert round((count(untouched(**options)) + uncalled) / 1e6, 2) == millions


def test_another_latent_map_adds_what_its_formula_says() -> None:
    """16 x 16 with 256 channels, under 512 at 1 x 1 and 512 at 8 x 8, above 128 at 32 x 32."""
    c, coarser, n = 256, 1024, 2
    start = (n * c + 1) * 2 * c + 4 * c + (2 * c + 1) * 2 * c + 4 * c
    pre = (c + 1) * c + 2 * c
    cell = 2 * (9 * c + 1) * 4 * c + 2 * 8 * c + 2 * c
    head = (c + coarser + 1) * 2 * c + 4 * c
    finer_head, decoder = c * 2 * 128, 9 * c * 4 * c
    added = count(untouched(latents=(1, 8, 16, 32))) - count(untouched())
    assert added == 2 * (start + pre + cell + head + finer_head) + decoder


@pytest.mark.parametrize(
    ("resolution", "channels", "latents"),
    [
        (128, {128: 64, 64: 128, 32: 256, 16: 512, 8: 512, 4: 512, 1: 512}, (1, 16, 64)),
        (64, {64: 64, 32: 128, 16: 256, 8: 512, 4: 512, 1: 512}, (1, 8, 32)),
        (32, {32: 64, 16: 128, 8: 256, 4: 512, 1: 512}, (1, 4, 16)),
        (16, {16: 64, 8: 128, 4: 256, 1: 256}, (1, 4, 8)),
    ],
)
def test_sizes_follow_from_the_image(
    resolution: int, channels: dict[int, int], latents: tuple[int, ...]
) -> None:
    model = hv.HVRNN(resolution=resolution, channels=1, width=1, context=1).double()
    assert hv.channels_of(resolution, 64) == channels
    assert model.latents == latents
    video = clip(2, resolution)[:1]
    maps = model.encoder(video[:, 0])
    assert {r: tuple(e.shape) for r, e in maps.items()} == {
        r: (1, c // 64, r, r) for r, c in channels.items()
    }
    out = model(video, hv.random_noise(model, frames=1, batch=1))
    assert out["frames"].shape == (1, 1, 1, resolution, resolution)
    assert {r: z[0].shape[-1] for r, z in out["z"].items()} == {r: r for r in latents}


# Values by hand


def fill(module: nn.Module, **values: float | Tensor) -> None:
    """Sets parameters, named with _ for the dots; convolutions not named become 0.

    The rest keeps torch's start: norms of weight 1 and bias 0.
    """
    left = dict(values)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "norm" not in name:
                parameter.zero_()
            value = left.pop(name.replace(".", "_"), None)
            if value is not None:
                filled = torch.as_tensor(value, dtype=torch.float64)
                parameter.copy_(filled.reshape(parameter.shape) if filled.ndim else filled)
    assert not left


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def row(*values: float) -> Tensor:
    """A map of one channel and one row."""
    return tensor(*values).view(1, 1, 1, -1)


def test_plain_cell_by_hand() -> None:
    cell = hv.PlainConvLSTM(1, 1, kernel=3).double()
    weight = torch.ones(4, 2, 3, 3)  # eight of nine taps see padding
    weight[:, 1, 1, 1] = tensor(1, 2, 3, 4)
    fill(cell, gates_weight=weight, gates_bias=tensor(0.1, 0.2, 0.3, 0.4))
    h, c = cell(row(0.25), hv.Memory(row(0.5), row(-0.7)))
    # i = 0.25 + 0.5 + 0.1, f = 0.25 + 1 + 0.2, g = 0.25 + 1.5 + 0.3, o = 0.25 + 2 + 0.4
    i, f, g, o = tensor(0.85, 1.45, 2.05, 2.65)
    expected = torch.sigmoid(f) * -0.7 + torch.sigmoid(i) * torch.tanh(g)
    close(c, expected.expand_as(c))
    close(h, (torch.sigmoid(o) * torch.tanh(expected)).expand_as(h))


def test_normed_cell_by_hand() -> None:
    """Three pixels and one channel: a norm gives (1, 0, -1) sqrt(3/2), up to its epsilon."""
    cell = hv.NormedConvLSTM(1, 1, r=3, kernel=1).double()
    fill(
        cell,
        input_weight=1,
        recurrent_weight=1,
        input_norm_weight=tensor(1, 2, 3, 4),
        recurrent_norm_weight=0.5,
        memory_norm_weight=2,
        memory_norm_bias=0.25,
    )
    c = tensor(5, 1, 3)
    new = cell(row(40, 0, -40), hv.Memory(row(-60, 0, 60), row(*c)))
    i, f, g, o = (w * 1.5**0.5 * tensor(1, 0, -1) for w in (0.5, 1.5, 2.5, 3.5))
    raw = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    expected = 2 * (raw - raw.mean()) / raw.std(correction=0) + 0.25
    close(new.c.flatten(), expected, atol=1e-4)
    close(new.h.flatten(), torch.sigmoid(o) * torch.tanh(expected), atol=1e-4)


def test_block_by_hand() -> None:
    block = hv.ResBlock(1, 1, r=2, kernel=1).double()
    assert block.second.bias is None and block.shortcut is None
    fill(block, first_weight=2, first_bias=0.5, second_weight=-3, norm2_weight=4)
    # LReLU (1, -0.2), conv (2.5, 0.1), GN (1, -1), LReLU (1, -0.2), conv (-3, 0.6), GN (-4, 4)
    close(block(row(1, -1)), row(0.6, -0.6), atol=1e-4)


def test_start_by_hand() -> None:
    start = hv.Start(features=1, context=2, size=1, r=8).double()
    fill(
        start,
        first_weight=tensor(1, 0, 0, 1),
        second_weight=tensor(1, 0, 1, 1),
        second_norm_weight=tensor(1, 2),
    )
    # GN of the first frame (1, -1), of the constant second one 0; LReLU (1, -0.2);
    # h: GN of that; c: GN of the sum of both, twice that
    h, c = start([row(9, 0), row(7, 7)])
    close(h, row(1, -1), atol=1e-4)
    close(c, row(2, -2), atol=1e-4)


def test_up_by_hand() -> None:
    """Padding 1 leaves the kernel's middle 5, 6, 9, 10: mean 7.5, variance 4.25."""
    up = hv.Up(1, 1, to=8).double()
    fill(up, conv_weight=torch.arange(16.0))
    expected = tensor(-0.5, -0.3, 1.5, 2.5) / 4.25**0.5
    close(up(row(1)).flatten(), expected, atol=1e-5)


def test_encoder_is_max_pooling_if_its_blocks_are_shortcuts() -> None:
    """With channels all alike."""
    encoder = hv.Encoder(16, 1, 4, lean=False).double()
    fill(encoder, entry_weight=1)
    with torch.no_grad():
        for block in encoder.modules():
            if isinstance(block, hv.ResBlock) and block.shortcut is not None:
                block.shortcut.weight.fill_(1 / block.shortcut.in_channels)
    frames = clip()[:, 0]
    for r, e in encoder(frames).items():
        close(e, torch.nn.functional.adaptive_max_pool2d(frames, r).expand_as(e))


def test_last_layers_by_hand() -> None:
    """A norm's bias -1 through LReLU -0.2, the mean over 16 channels, sigmoid."""
    model = hv.HVRNN(**SIZES).double()
    weight = torch.zeros(1, 16, 3, 3)
    weight[:, :, 1, 1] = 1 / 16
    fill(model, decoder_smooth_norm_bias=-1, decoder_last_weight=weight)
    frames = model(clip(), noise_for(model))["frames"]
    close(frames, torch.full_like(frames, 1 / (1 + math.exp(0.2))))


def test_coarser_maps_are_repeated_as_by_nearest_neighbours() -> None:
    z = randn(1, 2, 4, 4)
    close(hv.repeated(z, 16), torch.nn.functional.interpolate(z, 16, mode="nearest"))


@pytest.mark.parametrize(
    ("modules", "at_1", "elsewhere"),
    [
        (hv.ResBlock, {1}, {4}),
        (hv.NormedConvLSTM, {16}, {16}),
        (hv.Start, {4, 1}, {4, 16}),
        (hv.Twin, {1}, {16}),
        (hv.Up, set(), {4}),
    ],
)
def test_groups_of_the_norms(modules: Any, at_1: set[int], elsewhere: set[int]) -> None:
    model = untouched()
    found: dict[bool, set[int]] = {True: set(), False: set()}
    for name, module in model.named_modules():
        if isinstance(module, modules):
            norms = {n.num_groups for n in module.children() if isinstance(n, nn.GroupNorm)}
            found["1" in name.split(".")[:3]] |= norms
    assert found == {True: at_1, False: elsewhere}
    assert model.decoder.smooth_norm.num_groups == 4


@pytest.mark.parametrize(
    ("size", "r", "gates", "memory"),
    [(24, 8, 16, 12), (7, 8, 14, 7), (16, 1, 16, 8), (1, 1, 2, 1)],
)
def test_groups_of_narrow_cells(size: int, r: int, gates: int, memory: int) -> None:
    cell = hv.NormedConvLSTM(3, size, r)
    norms = (cell.input_norm, cell.recurrent_norm, cell.memory_norm)
    assert [norm.num_groups for norm in norms] == [gates, gates, memory]


@pytest.mark.parametrize(
    ("likelihood", "scale", "per_pixel"),
    [
        ("laplace", None, 0.5 + math.log(2)),
        ("laplace", 0.1, 5 + math.log(0.2)),
        ("gaussian", None, 0.25 + math.log(math.pi) / 2),
        ("gaussian", 1.0, 0.125 + math.log(2 * math.pi) / 2),
        ("bernoulli", None, -0.75 * math.log(0.25) - 0.25 * math.log(0.75)),
    ],
)
def test_loss_by_hand(likelihood: Any, scale: float | None, per_pixel: float) -> None:
    """Without weights all is bias: q = N(1, 4), p = N(0, 1), x = 0.75, mean = 0.25."""
    model = hv.HVRNN(**(SIZES | {"latents": (1, 8)})).double()
    fill(model, decoder_last_bias=-math.log(3))
    for r in model.latents:
        channels = model.sizes[r]
        for twin, mean, variance in ((model.posterior, 1.0, 4.0), (model.prior, 0.0, 1.0)):
            raw = math.log(math.exp(variance) - 1)
            fill(twin[str(r)], head_norm_bias=tensor(mean, raw).repeat_interleave(channels))
    video = torch.full((B, T, 1, 16, 16), 0.75).double()
    out = model(video, noise_for(model), beta=0.3, likelihood=likelihood, scale=scale)
    kl = (64 * 1 * 1 + 32 * 8 * 8) * (2 - math.log(2))
    close(out["frames"], torch.full_like(out["frames"], 0.25))
    expected = 2 * (256 * per_pixel + 0.3 * kl)
    assert out["loss"].item() == pytest.approx(expected, rel=1e-6)


# Densities


def normal(beliefs: list[Belief]) -> td.Independent:
    mean, std = torch.stack([b.mean for b in beliefs], 1), torch.stack([b.std for b in beliefs], 1)
    return td.Independent(td.Normal(mean, std), 3)


@pytest.mark.parametrize("kl", ["analytic", "sampled"])
def test_kls_are_those_of_torch_distributions(kl: Any) -> None:
    model = build()
    out = model(clip(), noise_for(model), kl=kl)
    penalty = torch.zeros(B).double()
    for r in model.latents:
        q, p = normal(out["posterior"][r]), normal(out["prior"][r])
        z = torch.stack(out["z"][r], 1)
        exact = td.kl_divergence(q, p)
        drawn = q.log_prob(z) - p.log_prob(z)
        found = torch.stack(out["kl"][r], 1)
        close(found, exact if kl == "analytic" else drawn)
        assert bool((exact > 0.1).all()) and bool(((exact - drawn).abs() > 1e-3).all())
        penalty = penalty + found.sum(1)
        close((z - q.mean) / q.stddev, torch.stack(noise_for(model)[r], 1))
    close(out["loss"], (penalty - out["recon"]).mean())


@pytest.mark.parametrize(
    ("likelihood", "scale"),
    [("laplace", None), ("laplace", 0.2), ("gaussian", None), ("gaussian", 0.3)],
)
def test_likelihoods_are_those_of_torch_distributions(
    likelihood: Any, scale: float | None
) -> None:
    model, video = build(), clip()
    out = model(video, noise_for(model), likelihood=likelihood, scale=scale)
    if likelihood == "laplace":
        density: td.Distribution = td.Laplace(out["frames"], scale or 1.0)
    else:
        density = td.Normal(out["frames"], scale or 0.5**0.5)
    close(out["recon"], density.log_prob(video[:, CONTEXT:]).sum((1, 2, 3, 4)))


def test_bernoulli_likelihood_is_that_of_torch_distributions() -> None:
    model, video = build(), (clip() > 0.5).double()
    out = model(video, noise_for(model), likelihood="bernoulli")
    density = td.Bernoulli(out["frames"]).log_prob(video[:, CONTEXT:])
    close(out["recon"], density.sum((1, 2, 3, 4)), rtol=1e-6)


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_beta_weighs_the_kl(beta: float) -> None:
    model = build()
    out = model(clip(), noise_for(model), beta=beta)
    penalty = sum(kl for steps in out["kl"].values() for kl in steps)
    close(out["loss"], (beta * penalty - out["recon"]).mean())


# What sees what


def frames_seen(value: Tensor, video: Tensor) -> list[bool]:
    (g,) = torch.autograd.grad(value.sum(), video, retain_graph=True)
    return [bool(g[:, t].abs().sum() > 0) for t in range(video.shape[1])]


@pytest.mark.parametrize("latents", [(1,), (1, 4, 8), (8,)])
@pytest.mark.parametrize("i", [0, 1, 2])
def test_priors_see_the_past_and_posteriors_the_present(latents: tuple[int, ...], i: int) -> None:
    model, video = build(latents=latents), clip(5).requires_grad_()
    out = model(video, noise_for(model, 3))
    first, t = latents[0], CONTEXT + i  # finer heads read a z that saw the present
    assert frames_seen(out["prior"][first][i].mean, video) == [s < t for s in range(5)]
    assert frames_seen(out["posterior"][first][i].mean, video) == [s <= t for s in range(5)]
    assert frames_seen(out["frames"][:, i], video) == [s <= t for s in range(5)]


def test_the_decoder_sees_the_frame_before_and_keeps_a_memory() -> None:
    """Generating with no frame fed but the given ones: what is given later changes later means."""
    model = build()
    noise, video = noise_for(model), clip()
    other = torch.cat([video[:, :CONTEXT], clip(1, seed=8)], 1)
    one = model.generate(video[:, : CONTEXT + 1], noise)
    two = model.generate(other, noise)
    close(one["frames"][:, 0], two["frames"][:, 0])
    assert bool((one["frames"][:, 1] - two["frames"][:, 1]).abs().max() > 1e-4)


@pytest.mark.parametrize("r", [1, 4, 8])
def test_a_latent_of_the_past_reaches_frames_but_no_belief(r: int) -> None:
    model, video = build(), clip()
    noise = noise_for(model)
    one, two = model(video, noise), model(video, replaced(noise, r, 0))
    for twin in ("prior", "posterior"):
        for s in model.latents:
            close(one[twin][s][1].mean, two[twin][s][1].mean)
            moved = bool((one[twin][s][0].mean - two[twin][s][0].mean).abs().max() > 1e-4)
            assert moved == (s > r)
    for i in range(2):
        assert bool((one["frames"][:, i] - two["frames"][:, i]).abs().max() > 1e-6)


def test_memories_start_from_the_context_oldest_frame_first() -> None:
    model, video = build(), clip(CONTEXT)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, hv.Start):
                module.first.weight[:, module.first.in_channels // 2 :] = 0
    one, two = (
        model.start([model.encoder(x) for x in frames])
        for frames in (video.unbind(1), (video[:, 0], clip(1, seed=8)[:, 0]))
    )
    assert len(one.decoder) == 4 and len(one.prior) == len(one.posterior) == 3
    for mine, theirs in zip(one, two, strict=True):
        for r, memory in mine.items():
            assert torch.equal(memory.h, theirs[r].h) and torch.equal(memory.c, theirs[r].c)
            assert memory.h.std() > 0.1


def test_frames_see_latents_where_cells_read_them() -> None:
    """The second half of a decoder cell's inputs is z."""
    model, video = build(), clip()
    noise = noise_for(model)
    other = noise_for(model, seed=1)
    with torch.no_grad():
        for r, size in model.sizes.items():
            cell: Any = model.decoder.cells[str(r)]
            (cell.gates if r == 1 else cell.input).weight[:, size : 2 * size] = 0
    close(model(video, noise)["frames"], model(video, other)["frames"])


def test_parent_only_is_dense_without_the_grandparents_weights() -> None:
    dense, single = build(), build(dense=False)
    assert dense.coarser(8) == (1, 4) and single.coarser(8) == (4,)
    state = dense.state_dict()
    for twin in ("prior", "posterior"):
        own, z1, z4 = state[f"{twin}.8.head.weight"].split([dense.sizes[r] for r in (8, 1, 4)], 1)
        z1.zero_()
        state[f"{twin}.8.head.weight"] = torch.cat([own, z4], 1)
    single.load_state_dict(state)
    video, noise = clip(), noise_for(dense)
    close(single(video, noise)["loss"], dense(video, noise)["loss"])


def test_lean_is_the_middle_of_the_kernels() -> None:
    full, lean = build(), build(lean=True)
    shapes = {name: p.shape for name, p in lean.named_parameters()}
    state = full.state_dict()
    narrowed = {n for n, p in full.named_parameters() if p.shape != shapes[n]}
    for name in narrowed:
        state[name] = state[name][:, :, 1:2, 1:2]
    assert len(narrowed) == 4 + 2 * 2 + 1, "two blocks, two cells, the decoder's"
    lean.load_state_dict(state)
    video, noise = clip(), noise_for(full)
    close(lean(video, noise)["loss"], full(video, noise)["loss"])


# Generation


def as_prior_noise(model: hv.HVRNN, out: dict[str, Any]) -> dict[int, Any]:
    """The noise with which the priors draw the z of `out`."""
    return {
        r: [(z - p.mean) / p.std for z, p in zip(out["z"][r], out["prior"][r], strict=True)]
        for r in model.latents
    }


@pytest.mark.parametrize("infer", [True, False])
def test_feeding_back_true_frames_is_teacher_forcing(infer: bool) -> None:
    model, video = build(), clip()
    noise = noise_for(model)
    forced = model(video, noise)
    found = model.generate(video, noise if infer else as_prior_noise(model, forced), infer=infer)
    close(found["frames"], forced["frames"])
    for r in model.latents:
        for mine, theirs in zip(found["prior"][r], forced["prior"][r], strict=True):
            close(mine.mean, theirs.mean)
            close(mine.std, theirs.std)


def test_own_means_are_fed_back_where_no_frame_is_given() -> None:
    model, video = build(), clip(CONTEXT)
    noise = noise_for(model, frames=3)
    free = model.generate(video, noise)
    assert free["frames"].shape == (B, 3, 1, 16, 16)
    given = model.generate(torch.cat([video, free["frames"][:, :-1]], 1), noise)
    close(given["frames"], free["frames"])
    other = model.generate(torch.cat([video, clip(2)], 1), noise)
    assert bool((other["frames"][:, 1:] - free["frames"][:, 1:]).abs().max() > 1e-4)


def test_every_parameter_matters() -> None:
    """Comparisons of gradients that are all zero would be none."""
    model = build()
    loss = model(clip(), noise_for(model))["loss"]
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    silent = {n for n, g in zip(names, found, strict=True) if g is None or not g.abs().max() > 0}
    assert not silent
