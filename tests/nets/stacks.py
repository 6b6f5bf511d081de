"""Comparison of a network with a plain stack of stock layers in the same order."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["assert_close", "assert_same", "count", "layers", "match", "perturb"]

NORMS = (nn.BatchNorm2d, nn.GroupNorm)


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def layers(network: nn.Module) -> list[nn.Module]:
    """Modules with a weight of their own: first all but the norms, then the norms."""
    found = [m for m in network.modules() if isinstance(getattr(m, "weight", None), Tensor)]
    return sorted(found, key=lambda module: isinstance(module, NORMS))


def match(network: nn.Module, stack: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Gives the network the stack's state; their parameters and buffers in pairs."""
    pairs: list[tuple[Tensor, Tensor]] = []
    for ours, theirs in zip(layers(network), layers(stack), strict=True):
        mine: dict[str, Tensor] = dict(ours.named_parameters(recurse=False))
        mine |= {k: v for k, v in ours.named_buffers(recurse=False) if k != "spread"}
        state = {**dict(theirs.named_parameters()), **dict(theirs.named_buffers())}
        assert mine.keys() == state.keys()
        pairs += [(mine[key], state[key]) for key in mine]
    with torch.no_grad():
        for value, source in pairs:
            assert value.shape == source.shape
            value.copy_(source)
    return pairs


def perturb(network: nn.Module, seed: int = 0) -> None:
    """Norms that are not the identity: weights near one, small biases, other statistics."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, NORMS):
            state = [module.weight, module.bias]
            if isinstance(module, nn.BatchNorm2d):
                state += [module.running_mean, module.running_var]  # type: ignore[list-item]
            with torch.no_grad():
                for value in state:
                    value.add_(0.4 * torch.rand(value.shape, generator=generator))


def assert_close(value: Tensor, expected: Tensor, what: str = "value") -> None:
    """Equal to 1e-9: float64, sums in another order, and norms that divide by small numbers."""
    torch.testing.assert_close(
        value, expected, rtol=1e-9, atol=1e-9, msg=lambda text: f"{what}: {text}"
    )


def assert_same(
    value: Sequence[Tensor],
    expected: Sequence[Tensor],
    inputs: Sequence[Tensor],
    pairs: Sequence[tuple[Tensor, Tensor]],
) -> None:
    """Equal values, and equal gradients of inputs and parameters along random directions."""
    directions = [torch.randn_like(target) for target in expected]
    for i, (a, b) in enumerate(zip(value, expected, strict=True)):
        assert_close(a, b, f"output {i}")
    learnt = [(a, b) for a, b in pairs if b.requires_grad]
    mine, stock = ([*inputs, *side] for side in zip(*learnt, strict=True))
    ours = torch.autograd.grad(value, mine, directions, retain_graph=True)
    theirs = torch.autograd.grad(expected, stock, directions, retain_graph=True)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert_close(a, b, f"gradient {i}")
    for i, (a, b) in enumerate(pairs):
        if not b.requires_grad:
            assert_close(a, b, f"state {i}")
