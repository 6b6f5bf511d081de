"""SVG's emission alone: which maps it reads, in whatever pieces, and what reaches a frame."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyrovp.cells import GRU, LSTM, ConvLSTM, FromContext, Memory
from pyrovp.emission import FrameModel, GaussianLikelihood, SkipFrames
from pyrovp.nets import SkipDCGANDecoder, SkipDecoder, VGGDecoder
from pyrovp.sizes import Map
from tests.oracles.tiny import close, randn

B, T, Z, G = 2, 4, 3, 5
PIECES = [[T], [1] * T, [2, 2], [1, 3], [3, 1]]
DECODERS: dict[str, Any] = {
    network: partial(decoder, 1, 16, G, width=1 / 64)
    for network, decoder in (("dcgan", SkipDCGANDecoder), ("vgg", VGGDecoder))
}


class Shown(SkipDecoder):
    """Shows the very map that it reads, and the vector on top of it."""

    def __init__(self) -> None:
        super().__init__(inputs=1, skips={4: 1})
        self.weight = nn.Parameter(torch.ones(()))

    def shares(self, skips: Mapping[int, Tensor]) -> dict[int, Tensor]:
        return {4: self.weight * skips[4]}

    def decode(self, d: Tensor, shares: Mapping[int, Tensor], which: Sequence[int]) -> Tensor:
        sources = shares[4].unflatten(0, (-1, len(d) // len(which)))
        return torch.cat([sources[source] for source in which]) + d[:, :, None, None]


def build(
    decoder: Any = Shown,
    context: int = 2,
    *,
    given: int = 1,
    memory: Memory = LSTM(3, inputs=4, layers=2),  # noqa: B008
) -> FrameModel:
    made = decoder()
    emission = SkipFrames(decoder, GaussianLikelihood(0.5), context=context, memory=memory)
    return emission.build((Z,), made.skips | {1: made.inputs}, given).double()


def features(frames: FrameModel, first: int, count: int) -> dict[int, Tensor]:
    """Of frames `first`, `first + 1`, ...: vectors of noise, maps with noise around the number."""
    decoder: Any = frames.decoder
    number = torch.arange(first, first + count).double().view(1, -1, 1, 1, 1)
    noise = {1: randn(B, first + count, decoder.inputs, 1, 1, seed=1)[:, first:]}
    for r, c in decoder.skips.items():
        maps = number.expand(B, -1, c, r, r)
        shown = isinstance(decoder, Shown)
        noise[r] = maps if shown else maps + randn(B, first + count, c, r, r, seed=r)[:, first:]
    return noise


def in_pieces(
    frames: FrameModel, z: Tensor, past: dict[int, Tensor], pieces: Sequence[int], start: Any
) -> Tensor:
    """The means, so many frames at a call."""
    means, ends = [], [sum(pieces[:n]) for n in range(len(pieces) + 1)]
    for piece in (slice(*both) for both in pairwise(ends)):
        emitted = frames((z[..., piece, :],), start, {r: f[:, piece] for r, f in past.items()})
        start = emitted.memory
        means.append(emitted.frames.mean)
    return torch.cat(means, -4)


def from_one(frames: FrameModel) -> Any:
    return frames.initial(B, torch.zeros(1).double(), features(frames, 0, 1))


# Which maps are read


@pytest.mark.parametrize("pieces", PIECES)
@pytest.mark.parametrize(
    ("given", "context", "sources"),
    [
        (1, 1, [0, 0, 0, 0]),
        (1, 2, [0, 1, 1, 1]),
        (1, 3, [0, 1, 2, 2]),
        (1, 9, [0, 1, 2, 3]),
        (2, 1, [0, 0, 0, 0]),
        (3, 2, [1, 1, 1, 1]),
        (3, 3, [2, 2, 2, 2]),
        (3, 4, [2, 3, 3, 3]),
    ],
)
def test_maps_freeze_at_the_last_one_of_the_context(
    given: int, context: int, sources: list[int], pieces: list[int]
) -> None:
    """Also where that lies among the frames that are given."""
    frames: Any = build(context=context, given=given)
    for parameter in frames.output.parameters():
        nn.init.zeros_(parameter)
    start = frames.initial(B, torch.zeros(1).double(), features(frames, 0, given))
    past = features(frames, given - 1, T)
    shown = in_pieces(frames, randn(B, T, Z), past, pieces, start)
    assert shown.shape == (B, T, 1, 4, 4)
    assert shown[:, :, 0, 0, 0].tolist() == [[float(s) for s in sources]] * B


@pytest.mark.parametrize("pieces", PIECES[1:])
@pytest.mark.parametrize("context", [1, 2, 3])
@pytest.mark.parametrize("network", ["dcgan", "vgg"])
def test_pieces_are_the_whole(network: str, context: int, pieces: list[int]) -> None:
    """Values, gradients and running statistics, in training."""
    found: list[Any] = []
    for division in ([T], pieces):
        torch.manual_seed(0)
        frames = build(DECODERS[network], context)
        z, past = randn(B, T, Z).requires_grad_(), features(frames, 0, T)
        inputs = [z, *(f.requires_grad_() for f in past.values()), *frames.parameters()]
        means = in_pieces(frames, z, past, division, from_one(frames))
        direction = randn(*means.shape, seed=9)
        gradients = torch.autograd.grad((means * direction).sum(), inputs)
        found.append([means, *gradients, *(b.double() for b in frames.buffers())])
    for a, b in zip(*found, strict=True):
        close(a, b)


@pytest.mark.parametrize("pieces", [[T], [1, 3]])
@pytest.mark.parametrize("network", ["dcgan", "vgg"])
def test_particles_see_the_same_frames(network: str, pieces: list[int]) -> None:
    frames, z = build(DECODERS[network]).eval(), randn(3, B, T, Z)
    past = features(frames, 0, T)
    together = in_pieces(frames, z, past, pieces, from_one(frames))
    alone = [in_pieces(frames, particle, past, pieces, from_one(frames)) for particle in z]
    close(together, torch.stack(alone))
    assert frames((z,), from_one(frames), past).frames.batch_shape == (3, B)


# What reaches a frame


@pytest.mark.parametrize("memory", [LSTM(3), GRU(3)], ids=["lstm", "gru"])
def test_a_frame_sees_states_up_to_its_own_and_frames_before_it(memory: Memory) -> None:
    frames = build(memory=memory)
    z, past = randn(B, T, Z).requires_grad_(), features(frames, 0, T)
    vectors = past[1].requires_grad_()
    means = frames((z,), from_one(frames), past).frames.mean
    for t in range(T):
        grads = torch.autograd.grad(means[:, t].sum(), [z, vectors], retain_graph=True)
        for gradient in grads:  # of the state of frame t, and of the frame before it
            assert [bool(gradient[:, s].any()) for s in range(T)] == [s <= t for s in range(T)]


def test_the_predictor_by_hand() -> None:
    """One LSTM whose gates read nothing: c = tanh(1) / 2 (1, 3/2, 7/4, ...)."""
    frames: Any = build(memory=LSTM(1))
    with torch.no_grad():
        for parameter in (*frames.cell.parameters(), *frames.output.parameters()):
            parameter.zero_()
        frames.cell.gates.bias[2] = 1.0
        frames.output.weight.fill_(1.0)
    past = {r: torch.zeros_like(f) for r, f in features(frames, 0, T).items()}
    means = frames((randn(B, T, Z),), from_one(frames), past).frames.mean
    c = torch.tensor([1, 3 / 2, 7 / 4, 15 / 8]).double() * torch.tensor(1.0).double().tanh() / 2
    close(means[0, :, 0, 0, 0], (c.tanh() / 2).tanh())


def test_the_predictor_may_start_from_the_given_frames() -> None:
    frames = build(memory=LSTM(2, start=FromContext()), given=3)
    given = features(frames, 0, 3)
    first = frames.initial(B, given[1], given).predictor
    assert first.shape == (B, 4)
    other = frames.initial(B, given[1], given | {1: -given[1]}).predictor
    assert bool((first != other).all())


# What is refused


@pytest.mark.parametrize(
    "encoder", [None, 5, {1: 1}, {4: 1}, {1: 1, 4: 2}, {1: 2, 4: 1}, {1: 1, 8: 1}]
)
def test_an_encoder_without_the_maps_is_refused(encoder: Any) -> None:
    emission = SkipFrames(Shown, GaussianLikelihood(0.5), context=2, memory=LSTM(3))
    with pytest.raises(ValueError, match=r"reads maps of \{4: 1, 1: 1\} .*, but the encoder"):
        emission.build((Z,), encoder, 1)


def test_states_and_memories_that_are_maps_are_refused() -> None:
    emission = partial(SkipFrames, Shown, GaussianLikelihood(0.5), context=2)
    with pytest.raises(ValueError, match="an LSTM takes vectors"):
        emission(memory=LSTM(3)).build((Map(2, 4),), {1: 1, 4: 1}, 1)
    with pytest.raises(ValueError, match=r"predictor's memory is a vector.*LSTM.*got ConvLSTM"):
        emission(memory=ConvLSTM(3, 1))


@pytest.mark.parametrize("likelihood", ["laplace", None, GaussianLikelihood])
def test_what_is_no_likelihood_is_refused(likelihood: Any) -> None:
    with pytest.raises(ValueError, match=r"object such as LaplaceLikelihood\(\), .*, got"):
        SkipFrames(Shown, likelihood, context=2)


@pytest.mark.parametrize("maker", [Shown(), lambda inputs: Shown()])
def test_a_decoder_is_what_makes_one(maker: Any) -> None:
    with pytest.raises(ValueError, match=r"what makes one: partial\(SkipDCGANDecoder, .*; got "):
        SkipFrames(maker, GaussianLikelihood(0.5), context=2)


@pytest.mark.parametrize("context", [0, -1, 2.5])
def test_a_context_without_frames_is_refused(context: Any) -> None:
    with pytest.raises(ValueError, match=f"at least 1, got context={context}"):
        SkipFrames(Shown, GaussianLikelihood(0.5), context=context)
