"""Editing what a guide inferred: what is taken out, exchanged, left alone."""

from collections.abc import Callable

import pytest
import torch
from pyro import poutine
from torch import Tensor

from pyrovp import sites
from pyrovp.analysis.traces import decode, edited, exchanged, infer, replayed, without
from tests.systems import Programs, clip, tiny_cwvae, tiny_dlh

SYSTEMS: dict[str, Callable[[], Programs]] = {"cwvae": tiny_cwvae, "dlh": tiny_dlh}
every = pytest.mark.parametrize("system", SYSTEMS)


def level_of(name: str) -> int:
    where = sites.parse(name)
    return 0 if where is None else where.level


@every
def test_decoding_an_inferred_trace_is_what_the_model_says_of_it(system: str) -> None:
    model, guide = SYSTEMS[system]()
    video = clip(6)
    trace = infer(guide, video)
    frames = decode(model, video, trace)
    said = replayed(model, video, trace).nodes["frames"]["fn"].mean
    torch.testing.assert_close(frames, said, atol=1e-12, rtol=0)
    assert torch.equal(frames, decode(model, video, trace))  # nothing is drawn


@every
@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_level_is_taken_out_with_its_beliefs_and_no_other(system: str, level: int) -> None:
    _, guide = SYSTEMS[system]()
    trace = infer(guide, clip(6))
    names = list(trace.nodes)
    left = without(trace, level)
    gone = set(names) - set(left.nodes)
    assert gone and all(level_of(name) == level for name in gone)
    assert {sites.parse(name).kind for name in gone} <= {"z", "belief"}  # type: ignore[union-attr]
    assert not any(name.startswith(f"z_{level}_") for name in left.nodes)
    closed = without(trace, level, gates=True)
    assert not any(level_of(name) == level for name in closed.nodes)
    assert list(trace.nodes) == names  # the original is as it was


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_level_that_was_taken_out_follows_its_prior(level: int) -> None:
    """Its draws come from the model's own distributions, given the other levels' values."""
    model, guide = tiny_cwvae()
    video = clip(4)
    trace = infer(guide, video)
    torch.manual_seed(1)
    drawn = poutine.trace(poutine.replay(model, trace=without(trace, level))).get_trace(video)
    for name, node in drawn.nodes.items():
        where = sites.parse(name)
        if where is None:
            continue
        if where.level == level:
            assert not torch.equal(node["value"], trace.nodes[name]["value"])
        else:
            assert torch.equal(node["value"], trace.nodes[name]["value"])
    torch.manual_seed(1)
    frames = decode(model, video, without(trace, level))
    torch.testing.assert_close(frames, drawn.nodes["frames"]["fn"].mean, atol=1e-12, rtol=0)


@every
@pytest.mark.parametrize("level", [1, 2, 3])
def test_an_exchange_moves_one_level_between_sequences(system: str, level: int) -> None:
    _, guide = SYSTEMS[system]()
    trace = infer(guide, clip(6, batch=3))
    order = [2, 0, 1]
    new = exchanged(trace, level, order)
    for name, node in trace.nodes.items():
        where = sites.parse(name)
        if where is None:
            continue
        before, after = node["value"], new.nodes[name]["value"]
        assert torch.equal(after, before[order] if where.level == level else before)
    back = exchanged(new, level, [1, 2, 0])
    assert all(
        torch.equal(back.nodes[name]["value"], node["value"])
        for name, node in trace.nodes.items()
        if sites.parse(name)
    )


def test_exchanging_all_levels_exchanges_the_frames() -> None:
    model, guide = tiny_cwvae()
    video = clip(4)
    trace = infer(guide, video)
    frames = decode(model, video, trace)
    for level in (1, 2, 3):
        trace = exchanged(trace, level, [1, 0])
    torch.testing.assert_close(decode(model, video, trace), frames[[1, 0]], atol=1e-12, rtol=0)


def test_edits_see_the_names_and_leave_the_rest() -> None:
    _, guide = tiny_cwvae()
    trace = infer(guide, clip(4))

    def shifted(where: sites.Site, value: Tensor) -> Tensor | None:
        return value + 1 if where == sites.Site("z", 1, 2) else value

    new = edited(trace, shifted)
    assert torch.equal(new.nodes["z_1_2"]["value"], trace.nodes["z_1_2"]["value"] + 1)
    assert torch.equal(new.nodes["z_1_1"]["value"], trace.nodes["z_1_1"]["value"])


@every
def test_blind_levels_follow_their_prior(system: str) -> None:
    """The level's site has the prior as its distribution; the others have their posterior."""
    model, guide = SYSTEMS[system]()
    video = clip(6)
    trace = infer(guide, video, blind={2})
    prior = replayed(model, video, trace)
    q, p = trace.nodes["z_2_0"]["fn"], prior.nodes["z_2_0"]["fn"]
    value = trace.nodes["z_2_0"]["value"]
    torch.testing.assert_close(q.log_prob(value), p.log_prob(value), atol=1e-12, rtol=0)
    q, p = trace.nodes["z_1_0"]["fn"], prior.nodes["z_1_0"]["fn"]
    assert not torch.allclose(
        q.log_prob(value := trace.nodes["z_1_0"]["value"]), p.log_prob(value)
    )
