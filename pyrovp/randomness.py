"""Where a run's noise comes from: keyed by seed and step, never by what happened before.

The noise of step s is drawn from generators seeded with `(seed, s)`. So a run that was killed
and continued, extended, validated or checkpointed more often draws the same numbers at step s
as one that went straight through, and nothing that happens between two steps can shift them.
The states of all generators are still part of a checkpoint, for an objective of the user's own
that draws from numpy or python.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["generator_states", "restore_generators", "seed_noise", "undisturbed"]


def seed_noise(seed: int, step: int, device: torch.device, rank: int = 0) -> None:
    """Seeds torch's generators of the CPU and of `device` for one step.

    Args:
        seed: The run's seed, at least 0.
        step: The step about to be taken, from 0.
        device: Where the objective computes.
        rank: Which of several processes draws; each has noise of its own.
    """
    # A 0 at the end would change nothing: one process is the first of several.
    key = int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0])
    # Not torch.manual_seed: it also seeds the generators of devices that are not in use, and
    # formats a stack trace at each call while CUDA is not initialised.
    torch.default_generator.manual_seed(key)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(key)


def generator_states() -> dict[str, Any]:
    """The states of the generators of torch (CPU and CUDA), numpy and python.

    Tensors, numbers and strings only, so that `torch.load(weights_only=True)` reads them back.
    """
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    version, internal, gauss_next = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
        "numpy": [str(name), torch.from_numpy(np.array(keys, dtype=np.int64)), int(position)],
        "numpy_gauss": [int(has_gauss), float(gauss)],
        "python": [version, torch.tensor(internal, dtype=torch.int64), gauss_next],
    }


def restore_generators(states: dict[str, Any]) -> None:
    """Puts every generator back to where `generator_states` found it."""
    torch.set_rng_state(states["torch"])
    # A checkpoint written on a machine with more devices: keep what has a counterpart here.
    for index, state in enumerate(states["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(state, index)
    name, keys, position = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, *states["numpy_gauss"]))
    version, internal, gauss_next = states["python"]
    random.setstate((version, tuple(internal.tolist()), gauss_next))


@contextmanager
def undisturbed() -> Iterator[None]:
    """Whatever is drawn inside leaves every generator as it was before."""
    states = generator_states()
    try:
        yield
    finally:
        restore_generators(states)
