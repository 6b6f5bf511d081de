"""One evaluation of a system's objective, with all that its two programs drew and held."""

from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.poutine import Trace
from torch import Tensor, nn

from pyrovp.hierarchy import Hierarchy
from pyrovp.infer import HierarchyELBO, Objective, level_kls
from pyrovp.programs import PLATE, LatentDynamics
from pyrovp.state import State

__all__ = ["Watched", "assert_same_gradients", "drawn_noise", "gradients", "kl_of_ticks", "walk"]


class Watched(HierarchyELBO):
    """A bound that keeps the traces of its last evaluation."""

    guide_trace: Trace
    model_trace: Trace

    def _get_trace(self, model: Any, guide: Any, args: Any, kwargs: Any) -> tuple[Trace, Trace]:
        traces = super()._get_trace(model, guide, args, kwargs)
        self.model_trace, self.guide_trace = traces
        return traces

    def kls(self) -> dict[tuple[str, int], dict[int, Tensor]]:
        """By kind and level, the KL [B] at each frame with a tick."""
        return kl_of_ticks(self.model_trace, self.guide_trace)


def kl_of_ticks(model: Trace, guide: Trace) -> dict[tuple[str, int], dict[int, Tensor]]:
    """By kind and level, the KL [B] at each frame with a tick."""
    found: dict[tuple[str, int], dict[int, Tensor]] = {}
    for key, groups in level_kls(model, guide).items():
        for group in groups:
            found.setdefault(key, {}).update(zip(group.t, group.kl, strict=True))
    return found


def drawn_noise(trace: Trace, level: int, t: int) -> Tensor:
    """The standard normal numbers [B, Z] behind a state, 0 where it was not drawn anew."""
    node = trace.nodes[f"z_{level}_{t}"]
    fn = node["fn"]
    base = getattr(fn, "base", fn)
    noise = ((node["value"] - base.mean) / base.variance.sqrt()).detach()
    return noise if base is fn else torch.where(fn.open.unsqueeze(-1), noise, 0.0)


def walk(model: LatentDynamics[Hierarchy], guide: Trace, batch: int, frames: int) -> list[State]:
    """The model's states after each frame, replayed against a guide's trace."""
    states = []
    state = model.hierarchy.initial(batch)
    with poutine.replay(trace=guide), pyro.plate(PLATE, batch, dim=-1):
        for t in range(frames):
            state = model.hierarchy.step(t, state)
            states.append(state)
    return states


def gradients(loss: Tensor, module: nn.Module) -> dict[str, Tensor]:
    """By name, the gradient of a loss with respect to every parameter."""
    names, parameters = zip(*module.named_parameters(), strict=True)
    found = torch.autograd.grad(
        loss, parameters, allow_unused=True, materialize_grads=True, retain_graph=True
    )
    return dict(zip(names, found, strict=True))


def assert_same_gradients(
    objective: Objective, loss: Tensor, expected: Tensor, extra: dict[str, Tensor] | None = None
) -> None:
    """Every gradient of `loss` is that of `expected`.

    Args:
        objective: Holds the parameters.
        loss, expected: Two losses of them.
        extra: Gradients that are known otherwise, by name.
    """
    found, wanted = gradients(loss, objective), gradients(expected, objective) | (extra or {})
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        scale = 1.0 + float(gradient.abs().max())
        assert float((found[name] - gradient).abs().max()) < 1e-10 * scale, name
