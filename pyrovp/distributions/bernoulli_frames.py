r"""A video of Bernoulli pixels, or of grey ones scored by binary cross-entropy.

log p(x) = Σ x log σ(l) + (1 - x) log(1 - σ(l)) = Σ x·l - log(1 + e^l)
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import constraints

from pyrovp.distributions.frames import PIXELS, Frames

__all__ = ["BernoulliFrames"]

# Beyond it softplus returns l itself, which is exact in doubles from 37 on (torch's own is 20).
_LINEAR = 40.0


class BernoulliFrames(Frames):
    """Bernoulli(σ(logit)) for each pixel.

    Equal to `Bernoulli(logits=logits).to_event(4)` for black and white frames. For grey ones, in
    [0, 1], the score is the negative binary cross-entropy, as is usual; over grey values it is
    no normalised density, so that bounds of different likelihoods do not compare.

    Args:
        logits: log p / (1 - p) of each pixel.

    Shapes:
        logits: [..., T, C, H, W]
        batch_shape: [...]
        event_shape: [T, C, H, W]

    Example:
        >>> frames = BernoulliFrames(torch.zeros(8, 5, 1, 64, 64))
        >>> frames.batch_shape, frames.event_shape
        (torch.Size([8]), torch.Size([5, 1, 64, 64]))
    """

    has_rsample = False

    def __init__(self, logits: Tensor, validate_args: bool | None = None) -> None:
        super().__init__(logits)

    def moved(self, location: Tensor) -> "BernoulliFrames":
        """Pixels of other logits."""
        return BernoulliFrames(location)

    @property
    def support(self) -> Any:
        """Pixel values in [0, 1]; those drawn are 0 or 1."""
        return constraints.independent(constraints.unit_interval, 4)

    @property
    def logits(self) -> Tensor:
        """Logits [..., T, C, H, W]."""
        return self.location

    @property
    def mean(self) -> Tensor:
        """Probabilities of white, the frames to show; [..., T, C, H, W]."""
        return self.logits.sigmoid()

    @property
    def variance(self) -> Tensor:
        """p (1 - p) for each pixel [..., T, C, H, W]."""
        mean = self.mean
        return mean * (1 - mean)

    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """Black and white frames: pixels of 0 and 1, without gradient."""
        with torch.no_grad():
            return self.mean.expand(Size(sample_shape) + self.logits.shape).bernoulli()

    def log_prob(self, value: Tensor) -> Tensor:
        """The negative binary cross-entropy in nats, pixels and frames summed; [...].

        Args:
            value: Pixels in [0, 1].
        """
        # Under autocast logits come in half precision, in which softplus would be taken.
        logits = self.logits.to(torch.promote_types(self.logits.dtype, value.dtype))
        unlikely = F.softplus(logits, threshold=_LINEAR)
        return torch.addcmul(unlikely, logits, value, value=-1).sum(PIXELS).neg()
