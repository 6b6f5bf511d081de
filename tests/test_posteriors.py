"""Posterior heads against the layers they stand for."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyrovp import GRU, Filtering, GaussianFrames, Hierarchy, Level, Parent, models
from pyrovp.heads import Gaussian
from pyrovp.posteriors import OwnHead, PosteriorHead, SharedTrunk, Twin
from tests.oracles.tiny import close, randn
from tests.test_heads import literal
from tests.toys.hvrnn import Decoder, Encoder

STATE = Gaussian(2, hidden=(5,), activation=F.elu, min_std=0.01, shift=0.54)
SHOWN, EVIDENCE = (3,), 4


def built(kind: PosteriorHead, state: Gaussian = STATE) -> tuple[Any, nn.Module]:
    level = Level(memory=GRU(3), state=state)
    return kind.build(level, SHOWN, EVIDENCE, 0).double(), state.head(*SHOWN).double()


@pytest.mark.parametrize("kind", [OwnHead(), OwnHead(hidden=(6, 3)), SharedTrunk()])
@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
def test_returns_a_packed_belief(kind: PosteriorHead, leading: tuple[int, ...]) -> None:
    q, prior = built(kind)
    belief = q(randn(*leading, 3), q.early(randn(*leading, 4)), prior)
    assert belief.shape == (*leading, 4)
    assert (belief[..., 2:] > 0.01).all()


@pytest.mark.parametrize("kind", [OwnHead(), OwnHead(hidden=(6, 3)), SharedTrunk()])
def test_evidence_of_all_ticks_may_come_first(kind: PosteriorHead) -> None:
    q, prior = built(kind)
    shown, evidence = randn(3, 3), randn(3, 7, 4, seed=1)
    early = q.early(evidence)
    for t in range(7):
        alone = q(shown, q.early(evidence[:, t]), prior)
        close(q(shown, early[:, t], prior), alone)
        other = q(shown, q.early(evidence[:, (t + 1) % 7]), prior)
        assert (alone != other).all(), "the evidence is seen"


@pytest.mark.parametrize("hidden", [None, (6, 3)])
def test_an_own_head_is_a_head_on_what_is_shown_and_the_evidence(
    hidden: tuple[int, ...] | None,
) -> None:
    q, prior = built(OwnHead(hidden))
    head = q.head
    assert head.state == Gaussian(2, hidden or (5,), F.elu, 0.01, 0.54)
    shown, evidence = randn(3, 3), randn(3, 4, seed=1)
    close(q(shown, q.early(evidence), prior), literal(head, shown, evidence))
    assert not {id(p) for p in q.parameters()} & {id(p) for p in prior.parameters()}


def test_a_shared_trunk_has_only_an_output_layer_of_its_own() -> None:
    q, prior = built(SharedTrunk())
    shown, evidence = randn(3, 3), randn(3, 4, seed=1)
    own = list(q.parameters())
    assert sum(p.numel() for p in own) == (5 + 4 + 1) * 4
    trunk: Tensor = prior.trunk(shown)  # type: ignore[operator]
    raw = torch.cat((trunk, evidence), -1) @ torch.cat(list(q.output.weights), 1).T
    raw = raw + q.output.bias
    belief = q(shown, q.early(evidence), prior)
    close(belief[:, :2], raw[:, :2])
    close(belief[:, 2:], torch.log1p(raw[:, 2:].exp()) + 0.01)
    gradients = torch.autograd.grad(belief.sum(), list(prior.parameters()), allow_unused=True)
    reached = {
        name: gradient is not None
        for (name, _), gradient in zip(prior.named_parameters(), gradients, strict=True)
    }
    assert all(is_reached != name.startswith("output") for name, is_reached in reached.items())


def test_a_shared_trunk_needs_a_wiring_in_which_both_see_the_same() -> None:
    model = models.dlh(std=0.5, levels=2, state=2, memory=4, context=4, resolution=16, width=0.05)
    with pytest.raises(ValueError, match=r"sizes \(4, 4\), but .* sees \(4,\); use .* OwnHead"):
        Filtering(model.hierarchy, posterior=SharedTrunk())


@pytest.mark.parametrize(
    ("posterior", "message"),
    [
        ("own", r"object such as OwnHead\(\) or Twin\(\), .*got 'own'"),
        (Twin, "one for all levels or a list with one for each, got <class"),
        ([OwnHead(), None], r"got \[OwnHead\(.*\), None\]"),
        ([OwnHead()], "1 posteriors were given for 2 levels"),
        (SharedTrunk(), r"this one has none; use OwnHead\(\) or Twin\(\)"),
    ],
    ids=str,
)
def test_what_is_no_posterior_of_the_levels_is_refused(posterior: Any, message: str) -> None:
    level = Level(memory=GRU(3), state=Gaussian(2, hidden=()))
    hierarchy = Hierarchy([level, level], Parent(), Encoder(4), GaussianFrames(Decoder, 0.5))
    with pytest.raises(ValueError, match=message):
        Filtering(hierarchy, posterior=posterior)
