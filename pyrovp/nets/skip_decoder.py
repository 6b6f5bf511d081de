"""What the decoders with skips have in common: from vectors and an encoder's maps to frames."""

import abc
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from pyrovp.nets.checks import check_vectors
from pyrovp.nets.skips import SkipLayer

__all__ = ["SkipDecoder"]


class SkipDecoder(nn.Module, abc.ABC):
    """Frames from vectors d_t and the maps of source frames that an encoder made.

    Step t decodes d_t with the skips of source frame which[t]. Those of a source frame are
    convolved once, whatever number of steps use them; a loop that calls the decoder step by step
    with the same skips keeps `shares(skips)` and calls `decode`.

    A decoder makes its layers that read a skip in the order of `skips`.

    Args:
        inputs: Size g of a vector.
        skips: Channels of the maps that it reads, by resolution.

    Shapes:
        d: [T B, g], time in front
        skips: resolution r -> [S B, skips[r], r, r], time in front; others are ignored
        which: T numbers from 0 to S - 1
        returns: [T B, C, R, R]

    Raises:
        ValueError: In a call, for what is not as above.
    """

    def __init__(self, inputs: int, skips: Mapping[int, int]) -> None:
        super().__init__()
        self.inputs = inputs
        self.skips = dict(skips)

    @abc.abstractmethod
    def decode(self, d: Tensor, shares: Mapping[int, Tensor], which: Sequence[int]) -> Tensor:
        """The frames, from what `shares` made of the skips."""

    def joints(self) -> dict[int, SkipLayer]:
        """The layers that read a skip, by its resolution."""
        layers = [layer for layer in self.modules() if isinstance(layer, SkipLayer)]
        return dict(zip(self.skips, layers, strict=True))

    def shares(self, skips: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """What the skips add to the layers that read them, by the skips' resolution.

        Raises:
            ValueError: If a map is missing or has another shape.
        """
        for r, channels in self.skips.items():
            if r not in skips or tuple(skips[r].shape[1:]) != (channels, r, r):
                found = {key: list(value.shape) for key, value in skips.items()}
                raise ValueError(
                    f"this decoder reads an encoder's map [S B, {channels}, {r}, {r}], got maps "
                    f"of shapes {found}; build both for the same frames and width"
                )
        return {r: joint.share(skips[r]) for r, joint in self.joints().items()}

    def forward(self, d: Tensor, skips: Mapping[int, Tensor], which: Sequence[int]) -> Tensor:
        """The frames."""
        check_vectors(d, self.inputs)
        steps = len(which)
        if steps == 0 or len(d) % steps:
            raise ValueError(
                f"{len(d)} vectors cannot be those of the {steps} steps that which={list(which)} "
                f"names source frames for; put time in front and flatten, [B, T, g] -> [T B, g]"
            )
        for r in self.skips.keys() & skips.keys():
            frames, rest = divmod(len(skips[r]) * steps, len(d))
            if rest or not all(0 <= source < frames for source in which):
                raise ValueError(
                    f"which={list(which)} counts source frames from 0, but the {len(skips[r])} "
                    f"maps of {r} pixels are {frames} frames of {len(d) // steps} sequences"
                )
        return self.decode(d, self.shares(skips), which)
