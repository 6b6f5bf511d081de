"""Frames that the hand-written controls make are those of the equations, drawn one by one."""

import pytest
import torch
from torch import Tensor

from benchmarks import controls
from tests.benchmarks.test_controls import (
    Decoder,
    Encoder,
    cell_weights,
    level_weights,
    randomise,
)
from tests.oracles import cwvae as cw
from tests.oracles import dlh as dl
from tests.oracles.equations import Belief, Weights, gru, linear
from tests.oracles.tiny import close

B, S, D = 3, 3, 4


def _cwvae(levels: int, factor: int) -> controls.CWVAE:
    control = controls.CWVAE(
        Encoder(), Decoder(S + D), levels=levels, factor=factor, state=S, memory=D, hidden=6, mlp=5
    )
    randomise(control.double(), seed=0)
    return control


@pytest.mark.parametrize(("levels", "factor"), [(1, 6), (2, 1), (3, 2)])
@pytest.mark.parametrize("chunk", [2, 50])
def test_cwvae_draws_from_its_priors(levels: int, factor: int, chunk: int) -> None:
    control, frames = _cwvae(levels, factor), 7
    noise = cw.random_noise(levels=levels, factor=factor, frames=frames, batch=B, state=S)
    weights: list[Weights] = [cell_weights(cell) for cell in control.cells]  # type: ignore[arg-type]
    z = [torch.zeros(B, S).double() for _ in range(levels)]
    h = [torch.zeros(B, D).double() for _ in range(levels)]
    wanted = []
    for t in range(frames):
        for n in reversed(range(levels)):
            if t % factor**n:
                continue
            above = (z[n + 1], h[n + 1]) if n + 1 < levels else (torch.zeros(B, S + D).double(),)
            w = weights[n]
            u = torch.relu(torch.cat([z[n], *above], -1) @ w["w1"].T + w["b1"])
            h[n] = gru(w["gru"], u, h[n])
            p = torch.relu(h[n] @ w["w2"].T + w["b2"])
            raw = (p + 0.54) @ w["ws"].T + w["bs"]
            std = torch.nn.functional.softplus(raw) + 1e-4
            z[n] = p @ w["wm"].T + w["bm"] + std * noise[n][t // factor**n]
        wanted.append(control.decoder(torch.cat([z[0], h[0]], -1)))
    made = control.generate(B, frames, [torch.stack(level) for level in noise], chunk)
    close(torch.cat(list(made), 1), torch.stack(wanted, 1))


class Dream:
    """One sequence of DLH, level by level, drawn from its priors."""

    def __init__(self, weights: list[Weights]) -> None:
        self.weights = weights
        self.d = [torch.zeros(D).double() for _ in weights]
        self.memory = list(self.d)
        self.s = [torch.zeros(S).double() for _ in weights]
        self.belief: list[Belief] = []

    def frame(self, t: int, noise: list[Tensor], uniforms: list[Tensor]) -> tuple[Tensor, int]:
        """c^0, and the number of levels that changed."""
        changed, levels = 1, len(self.weights)
        for n in range(1, levels):
            w = self.weights[n]
            self.memory[n] = gru(w["factor"], self.d[n], self.memory[n])
            p = torch.sigmoid(linear(w["factor_out"], self.memory[n])[0])
            if changed == n and (t == 0 or uniforms[n] < p):
                changed = n + 1
        c, before = torch.zeros(6).double(), list(self.belief)
        self.belief = [Belief(self.s[0], self.s[0])] * levels
        for n in reversed(range(levels)):
            w = self.weights[n]
            prior = dl._gauss(w["prior"], self.d[n], c)
            self.belief[n] = prior if n < changed else before[n]
            if n <= changed:  # the level above the last that changed draws anew from its belief
                self.s[n] = self.belief[n].mean + self.belief[n].std * noise[n]
            c = dl._context(w, self.s[n], c)
            if n < changed:
                self.d[n] = gru(w["temporal"], self.s[n], self.d[n])
        return c, changed


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_dlh_draws_from_its_mixtures(levels: int) -> None:
    frames = 9
    control = controls.DLH(
        Encoder(), Decoder(6), levels=levels, state=S, memory=D, width=6, hidden=5, head=4
    ).double()
    randomise(control, seed=2)
    weights = [level_weights(level) for level in control.stack()]
    noise = [
        torch.stack(n) for n in dl.random_noise(levels=levels, frames=frames, batch=B, state=S)
    ]
    uniforms = [torch.stack(u) for u in dl.random_uniforms(levels=levels, frames=frames, batch=B)]
    wanted, changes = [], set()
    for b in range(B):
        dream, images = Dream(weights), []
        for t in range(frames):
            c, changed = dream.frame(t, [x[t, b] for x in noise], [u[t, b] for u in uniforms])
            images.append(c)
            changes.add(changed)
        wanted.append(control.decoder(torch.stack(images)))
    assert changes == set(range(1, levels + 1)), "every number of levels changes, or no test"
    made = control.generate(B, frames, noise, uniforms, chunk=4)
    close(torch.cat(list(made), 1), torch.stack(wanted))
