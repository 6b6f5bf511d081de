"""What holds of every named system, whatever it is made of.

A system that joins `NAMED` is asked all of this.
"""

from typing import Any

import pytest
import torch
from pyro.infer import Trace_ELBO
from torch import Tensor

from pyrovp import describe
from pyrovp.infer import HierarchyELBO
from pyrovp.infer.evidence import importance_weighted_evidence
from pyrovp.predict import OnlineFilter, open_loop
from tests.named import NAMED
from tests.oracles.tiny import close
from tests.toys.handlers import SiteNoise, disagreement

HORIZON = 3

every = pytest.mark.parametrize("name", NAMED)


def built(name: str) -> tuple[Any, Any, Tensor]:
    """Model and guide in float64 as they predict, and a video."""
    torch.manual_seed(1)
    model = NAMED[name].model().double()
    guide = NAMED[name].guide(model).double()
    model.eval(), guide.eval()
    video = torch.rand(2, NAMED[name].length, 1, 16, 16, dtype=torch.float64)
    return model, guide, video


@every
def test_its_bound_is_pyros_in_mean(name: str) -> None:
    assert abs(disagreement(*built(name), repeats=12, particles=4)) < 8


@every
def test_its_bound_is_the_sum_of_its_parts(name: str) -> None:
    model, guide, video = built(name)
    bound = HierarchyELBO().bound(model, guide, video)
    kls = [kl.sum() for kl in bound.kl.values()]
    close(bound.loss, -(bound.likelihood.sum() - sum(kls)))
    assert {level for _, level in bound.kl} == set(range(1, len(model.hierarchy.levels) + 1))


@every
def test_its_particles_weigh_what_pyro_says(name: str) -> None:
    model, guide, video = built(name)
    options = {"num_particles": 2, "vectorize_particles": True, "max_plate_nesting": 1}
    torch.manual_seed(3)
    found = importance_weighted_evidence(model, guide, video, 2, 2)
    torch.manual_seed(3)
    with torch.no_grad():
        loss = Trace_ELBO(**options).loss(model, guide, video)
    close(found.elbo.sum(), torch.tensor(-loss, dtype=torch.float64), atol=1e-6)
    assert (found.nats >= found.elbo - 1e-9).all()


@every
def test_its_future_is_the_same_in_pieces_and_frame_by_frame(name: str) -> None:
    """A longer horizon continues a shorter one, and an online filter forecasts the same."""
    model, guide, video = built(name)
    with SiteNoise(), torch.no_grad():
        whole = open_loop(model, guide, video, HORIZON)
        close(open_loop(model, guide, video, 1).prediction, whole.prediction[:, :1])
        online = OnlineFilter(model, guide)
        for frame in video.unbind(1):
            online.update(frame)
        close(online.forecast(HORIZON).frames[0], whole.prediction)
    assert whole.prediction.shape == (2, HORIZON, 1, 16, 16)


@every
def test_its_weights_are_all_of_it(name: str) -> None:
    """Another instance with the same state does the same."""
    model, guide, video = built(name)
    other = NAMED[name].model().double()
    theirs = NAMED[name].guide(other).double()
    other.load_state_dict(model.state_dict()), theirs.load_state_dict(guide.state_dict())
    other.eval(), theirs.eval()
    with SiteNoise(), torch.no_grad():
        ours = open_loop(model, guide, video, 2).prediction
        close(open_loop(other, theirs, video, 2).prediction, ours)


@every
def test_it_says_what_it_is(name: str) -> None:
    model, guide, _ = built(name)
    text = describe(model, guide)
    assert all(f"\n{n} " in text for n in range(1, len(model.hierarchy.levels) + 1))
