"""Tiny programs and clips, and predictions whose scores are known by hand."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pyrovp.data import MovingDigits, Split
from pyrovp.filtering import Filtering
from pyrovp.guides import dlh as dlh_guide
from pyrovp.hierarchy import Hierarchy
from pyrovp.metrics import PRESETS, Protocol
from pyrovp.models import dlh
from pyrovp.predict import Chunk
from pyrovp.programs import LatentDynamics

__all__ = ["CONTEXT", "HORIZON", "FakeStream", "Programs", "digits", "protocol", "tiny_programs"]

CONTEXT, HORIZON = 3, 4

Programs = tuple[LatentDynamics[Hierarchy], Filtering]


def protocol(samples: int = 1, *, horizon: int = HORIZON, clip: bool = False) -> Protocol:
    return Protocol("test", CONTEXT, horizon, samples, PRESETS["svg"], clip)


def digits(split: Split = "test", length: int = CONTEXT + HORIZON, size: int = 5) -> MovingDigits:
    return MovingDigits(split, length, resolution=16, digits=1, size=size)


def tiny_programs() -> Programs:
    model = dlh(std=0.2, levels=2, state=2, memory=4, context=4, hidden=(4,), resolution=16,
                width=0.25)  # fmt: skip
    return model, dlh_guide(model)


@dataclass
class FakeStream:
    """In the place of `stream`: sample s of every sequence is the truth plus `offsets[s]`.

    Args:
        dataset: Whose clips the contexts are from.
        offsets: One for each sample, in the order in which they are drawn.
        chunk: Frames of a chunk.
    """

    dataset: MovingDigits
    offsets: list[float]
    chunk: int = HORIZON
    drawn: int = 0
    batches: list[int] = field(default_factory=list)

    def __call__(
        self, model: object, guide: object, context: Tensor, horizon: int, chunk: int = 50
    ) -> Iterator[Chunk]:
        clips = torch.stack([self.dataset[i]["video"] for i in range(len(self.dataset))])
        # Which clip a context is of, by its frames; rows are sample by sample.
        same = (clips[None, :, :CONTEXT] == context[:, None]).flatten(2).all(2)
        which = same.int().argmax(1)
        assert same.any(1).all()
        sequences = len(torch.unique(which))
        samples = len(context) // sequences
        assert torch.equal(which, which[:sequences].repeat(samples))
        numbers = [self._number() for _ in range(samples)]
        offset = torch.tensor(numbers).repeat_interleave(sequences)[:, None, None, None, None]
        self.batches.append(len(context))
        batch = len(context)
        changes = torch.zeros(batch, 2, CONTEXT + horizon)
        changes[:, 0] = 1
        changes[:, 1, [0, 2, CONTEXT]] = 1  # every level changes at frame 0
        kl = {n: torch.full((batch, CONTEXT), float(n)) for n in (1, 2)}
        yield Chunk(0, context + 0.2, changes[..., :CONTEXT], kl)
        for start in range(CONTEXT, CONTEXT + horizon, self.chunk):
            stop = min(start + self.chunk, CONTEXT + horizon)
            frames = clips[which, start:stop] + offset
            yield Chunk(start, frames, changes[..., start:stop], {})

    def _number(self) -> float:
        self.drawn += 1
        return self.offsets[(self.drawn - 1) % len(self.offsets)]
