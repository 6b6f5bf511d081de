"""The same noise for the same site, and what a level predicts behind its gate."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from pyrovp.analysis.draws import SameNoise, predicted
from pyrovp.distributions import DiagonalNormal, Held, TemporalMixture
from pyrovp.predict import open_loop
from tests.systems import clip, tiny_dlh

CPU = torch.device("cpu")


def draw(name: str, mean: float = 0.0) -> Tensor:
    return pyro.sample(name, dist.Normal(torch.full((3,), mean), 1.0).to_event(1))


def test_noise_depends_on_the_site_alone() -> None:
    noise = SameNoise(CPU)
    with noise:
        first, second = draw("z_1_0"), draw("z_1_1")
    with noise:  # another order, another distribution, more sites
        draw("z_2_0")
        again, moved = draw("z_1_1"), draw("z_1_0", 5.0)
    assert torch.equal(again, second)
    torch.testing.assert_close(moved, first + 5)
    assert not torch.equal(first, second)
    with SameNoise(CPU):
        assert not torch.equal(draw("z_1_0"), first), "its key comes from the ambient generator"


def test_the_ambient_generator_is_left_as_it_was_even_after_an_error() -> None:
    noise = SameNoise(CPU)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with pytest.raises(KeyError), noise:
        draw("z_1_0")
        raise KeyError
    assert torch.equal(torch.rand(2), expected)
    torch.manual_seed(3)
    assert not torch.equal(draw("z_1_0"), draw("z_1_0")), "and nothing of the handler remains"


def test_values_that_are_given_stay() -> None:
    given = torch.ones(3)
    with SameNoise(CPU), pyro.poutine.condition(data={"z_1_0": given}):
        assert torch.equal(draw("z_1_0"), given)


def test_a_prediction_comes_again_with_its_noise() -> None:
    model, guide = tiny_dlh()
    noise, films = SameNoise(CPU), []
    for _ in range(2):
        torch.rand(5)
        with noise:
            films.append(open_loop(model, guide, clip(4), 6).prediction)
    assert torch.equal(*films)
    assert not torch.equal(films[0], open_loop(model, guide, clip(4), 6).prediction)


@pytest.mark.parametrize("e", [0.0, 1.0])
@pytest.mark.parametrize("open", [False, True])
def test_what_a_level_predicts_is_the_change_component(e: float, open: bool) -> None:
    static, change = torch.tensor([[0.0, 1.0]]), torch.tensor([[7.0, 2.0]])
    mixture = TemporalMixture(torch.full((1,), e), static, change)
    held = Held(mixture, torch.zeros(1, 1), torch.tensor([open]))
    for fn in (mixture, held, DiagonalNormal(change)):
        found = predicted(fn)
        assert isinstance(found, DiagonalNormal) and torch.equal(found.parameters, change)
    other = dist.Normal(0.0, 1.0)
    assert predicted(other) is other
