"""The shared formulas against torch and torch.distributions."""

import pytest
import torch
import torch.distributions as td

from tests.oracles import cwvae as cw
from tests.oracles import dlh as dl
from tests.oracles.equations import (
    Belief,
    conv_encoder,
    fill,
    gru,
    gru_shapes,
    kl_gaussian,
    log_normal,
    transposed_decoder,
)
from tests.oracles.tiny import close, randn


def test_gru_is_torch_grucell() -> None:
    w = fill(gru_shapes(3, 5), seed=1, scale=1.0)
    cell = torch.nn.GRUCell(3, 5).double()
    cell.load_state_dict(w)
    u, h = randn(4, 3, seed=2), randn(4, 5, seed=3)
    close(gru(w, u, h), cell(u, h))


def test_kl_and_log_density_are_those_of_torch_distributions() -> None:
    q = Belief(randn(4, 3, seed=1), randn(4, 3, seed=2).exp())
    p = Belief(randn(4, 3, seed=3), randn(4, 3, seed=4).exp())
    expected = td.kl_divergence(td.Normal(*q), td.Normal(*p)).sum(-1)
    close(kl_gaussian(q, p), expected)
    x = randn(4, 3, seed=5)
    close(log_normal(x, q.mean, 0.4), td.Normal(q.mean, 0.4).log_prob(x))


@pytest.mark.parametrize("gate", [0.0, 1.0, 0.3])
def test_bernoulli_kl_is_that_of_torch_distributions(gate: float) -> None:
    q1, logit = torch.tensor(gate).double(), torch.tensor(0.7).double()
    expected = td.kl_divergence(td.Bernoulli(probs=q1), td.Bernoulli(logits=logit))
    close(dl._kl_bernoulli(q1, logit), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("padding", "features"), [(0, 1024), (1, 4096)])
def test_image_networks_fit_frames_of_64_pixels(padding: int, features: int) -> None:
    small = {"e": cw.weight_shapes(levels=1, state=2, memory=3, hidden=2, channels=1)}
    w = fill(small, seed=0, scale=1.0)["e"]
    assert conv_encoder(w["encoder"], randn(1, 2, 1, 64, 64), padding=padding).shape == (
        1,
        2,
        features,
    )
    assert transposed_decoder(w["decoder"], randn(1, 2, 5)).shape == (1, 2, 1, 64, 64)
