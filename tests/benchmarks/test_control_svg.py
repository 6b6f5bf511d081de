"""SVG-LP's hand-written loss is the oracle's: the same parameters, noise, loss and gradients."""

from itertools import chain
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.controls.svg import SVG
from pyrovp.nets import SkipDCGANDecoder, SkipDCGANEncoder, VGGDecoder, VGGEncoder
from tests.oracles import svg, svg_nets
from tests.oracles.tiny import close, randn

B, T, C, R, Z, G, H = 3, 4, 2, 16, 2, 4, 3
BETA = 0.3
NETS: dict[str, tuple[Any, ...]] = {
    "dcgan": (
        SkipDCGANEncoder,
        SkipDCGANDecoder,
        svg_nets.DCGANEncoder,
        svg_nets.DCGANDecoder,
    ),
    "vgg": (VGGEncoder, VGGDecoder, svg_nets.VGGEncoder, svg_nets.VGGDecoder),
}


def build(
    nets: str = "dcgan", context: int = 2, statistics: str = "each", resolution: int = R
) -> tuple[SVG, svg.SVG]:
    """The control and the oracle, with the same random parameters and running statistics."""
    encoder, decoder, slow_encoder, slow_decoder = NETS[nets]
    sizes = (C, resolution, G)
    control = SVG(
        encoder(*sizes, width=1 / 64, statistics=statistics),
        decoder(*sizes, width=1 / 64, statistics=statistics),
        state=Z,
        hidden=H,
        context=context,
        beta=BETA,
    ).double()
    oracle = svg.SVG(
        slow_encoder(*sizes, width=1),
        slow_decoder(*sizes, width=1),
        features=G,
        state=Z,
        hidden=H,
    ).double()
    svg.randomise(oracle)
    with torch.no_grad():
        for parameter, parts in parameters(control, oracle):
            parameter.copy_(torch.cat(parts))
        for n, (ours, theirs) in enumerate(running(control, oracle)):
            theirs.copy_(0.5 + torch.sigmoid(randn(len(theirs), seed=n)))
            ours.copy_(theirs)
    return control, oracle


def parameters(control: SVG, oracle: svg.SVG) -> list[tuple[Tensor, list[Tensor]]]:
    """The control's parameters, each with those of the oracle that it has on top of each other."""
    one_to_one = [
        (getattr(control, part).parameters(), getattr(oracle, part).parameters())
        for part in ("encoder", "decoder", "predictor")
    ]
    pairs: list[tuple[Tensor, list[Tensor]]] = []
    for ours, theirs in ((control.posterior, oracle.posterior), (control.prior, oracle.prior)):
        one_to_one.append((ours.embed.parameters(), theirs.embed.parameters()))
        one_to_one.append((ours.lstm.parameters(), theirs.cell.parameters()))
        for output, *halves in zip(
            ours.output.parameters(),
            theirs.mean.parameters(),
            theirs.log_variance.parameters(),
            strict=True,
        ):
            pairs.append((output, list(halves)))
    for left, right in one_to_one:
        pairs += [(a, [b]) for a, b in zip(left, right, strict=True)]
    return pairs


def running(control: nn.Module, oracle: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """The running means and variances of both."""
    left, right = (
        [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
        for module in (control, oracle)
    )
    both = zip(left, right, strict=True)
    found: list[Any] = [
        ((a.running_mean, b.running_mean), (a.running_var, b.running_var)) for a, b in both
    ]
    return list(chain.from_iterable(found))


def clip(frames: int = T, resolution: int = R) -> Tensor:
    return torch.sigmoid(randn(B, frames, C, resolution, resolution, seed=7))


def noise(frames: int = T) -> Tensor:
    return svg.random_noise(frames=frames, batch=B, state=Z)


def compare(control: SVG, oracle: svg.SVG, video: Tensor, how: svg.Statistics) -> None:
    pairs = parameters(control, oracle)
    assert sum(ours.numel() for ours, _ in pairs) == sum(p.numel() for p in control.parameters())
    drawn = noise(video.shape[1])
    loss = control(video, drawn)
    expected = oracle(video, drawn, context=control.context, beta=BETA, statistics=how)["loss"]
    close(loss, expected)
    found = torch.autograd.grad(loss, [ours for ours, _ in pairs])
    flat = [theirs for _, part in pairs for theirs in part]
    wanted = iter(torch.autograd.grad(expected, flat))
    for (_, part), gradient in zip(pairs, found, strict=True):
        close(gradient, torch.cat([next(wanted) for _ in part]))
    for ours, theirs in running(control, oracle):
        close(ours, theirs)


@pytest.mark.parametrize(("statistics", "how"), [("each", "frame"), ("pooled", "pooled")])
@pytest.mark.parametrize("context", [1, 2, 3])
@pytest.mark.parametrize("nets", ["dcgan", "vgg"])
def test_loss_gradients_and_statistics(
    nets: str, context: int, statistics: str, how: svg.Statistics
) -> None:
    compare(*build(nets, context, statistics), clip(), how)


@pytest.mark.parametrize("nets", ["dcgan", "vgg"])
@pytest.mark.parametrize(("frames", "context"), [(2, 1), (3, 5)])
def test_clips_not_longer_than_their_context(nets: str, frames: int, context: int) -> None:
    compare(*build(nets, context), clip(frames), "frame")


@pytest.mark.parametrize("nets", ["dcgan", "vgg"])
def test_in_evaluation(nets: str) -> None:
    control, oracle = build(nets)
    compare(control.eval(), oracle.eval(), clip(), "frame")


@pytest.mark.parametrize("resolution", [32, 64, 128])
@pytest.mark.parametrize("nets", ["dcgan", "vgg"])
def test_larger_frames(nets: str, resolution: int) -> None:
    control, oracle = build(nets, resolution=resolution)
    compare(control, oracle, clip(3, resolution), "frame")


def test_parameter_count() -> None:
    with torch.device("meta"):
        dcgan = SVG(SkipDCGANEncoder(1), SkipDCGANDecoder(1), state=10)
        vgg = SVG(VGGEncoder(3), VGGDecoder(3), state=64)
    assert sum(p.numel() for p in dcgan.parameters()) == 12_614_057
    assert sum(p.numel() for p in vgg.parameters()) == 22_831_747


def test_it_draws_its_own_noise() -> None:
    control, _ = build()
    assert control(clip()).shape == ()
    assert control(clip()) != control(clip())


def test_it_refuses_a_decoder_of_another_size() -> None:
    with pytest.raises(ValueError, match="build it with features=5"):
        SVG(SkipDCGANEncoder(1, 16, 5, 1 / 64), SkipDCGANDecoder(1, 16, 4, 1 / 64))
