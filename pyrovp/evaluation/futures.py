"""The futures that a model makes of some contexts, drawn pass by pass.

A pass draws some samples of every sequence of a batch at once, as the rows of a larger batch,

    rows   s_0 x_0, s_0 x_1, ..., s_1 x_0, s_1 x_1, ...      (samples s of contexts x),

with the noise of its own key (seed, batch, first sample). So a pass can be drawn again and gives
the same frames: none needs to be kept. Pass 0 is the first sample alone, whatever follows it, so
an evaluation of many samples contains that of one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from pyrovp.predict import Chunk, stream
from pyrovp.programs import LatentDynamics
from pyrovp.randomness import seed_noise
from pyrovp.state_space import StateSpace

__all__ = ["CHUNK", "FRAMES", "ROWS", "Futures"]

CHUNK = 50
"""Frames decoded at once in the first pass, as `stream` and `open_loop` do: a convolution over
another number of frames may round differently."""

FRAMES = {"cpu": 800, "cuda": 12_800}
"""Frames of all rows together that are decoded at once in the other passes."""

ROWS = {"cpu": 64, "cuda": 512}
"""Rows of a pass, unless said otherwise: on a GPU a step costs as much for few as for many."""


@dataclass(frozen=True)
class Futures:
    """Samples of the futures of a batch; the same whenever they are drawn.

    Args:
        model, guide: The two programs.
        context: [B, Tc, C, H, W].
        horizon: Frames to predict.
        samples: Futures of each sequence.
        rows: How many rows a pass has at most, beyond the first pass.
        seed: Key of the noise.
        start: Number of the batch's first sequence, part of the key.
    """

    model: LatentDynamics[StateSpace]
    guide: nn.Module
    context: Tensor
    horizon: int
    samples: int
    rows: int
    seed: int
    start: int

    def passes(self) -> list[range]:
        """The samples of each pass: the first one, then as many at a time as there are rows."""
        step = max(1, self.rows // len(self.context))
        later = range(1, self.samples, step)
        return [range(1), *(range(i, min(i + step, self.samples)) for i in later)]

    def draw(self, samples: range) -> Iterator[Chunk]:
        """A pass: the contexts' reconstruction, and their futures in chunks.

        Args:
            samples: One of `passes()`.

        Returns:
            What `pyrovp.predict.stream` yields, with frames [len(samples) * B, n, C, H, W].
        """
        device, drawn = self.context.device, len(samples)
        # A sequence of numbers as a key: (seed, start) for the first pass, with a third number
        # for the others, which counts in units of 2^32.
        seed_noise(self.seed, self.start + (samples.start << 32), device)
        context = self.context if drawn == 1 else self.context.repeat(drawn, 1, 1, 1, 1)
        chunk = CHUNK
        if samples.start:
            chunk = min(CHUNK, max(1, FRAMES.get(device.type, 800) // len(context)))
        yield from stream(self.model, self.guide, context, self.horizon, chunk=chunk)
