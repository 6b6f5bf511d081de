"""The two sums of an ELBO with Gaussian states and Gaussian frames."""

__all__ = ["kl_gaussian", "negative_log_likelihood"]

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def kl_gaussian(q_mean: Tensor, q_std: Tensor, p_mean: Tensor, p_std: Tensor) -> Tensor:
    """KL[q || p] in nats per dimension."""
    ratio = q_std / p_std
    return 0.5 * (ratio**2 + ((q_mean - p_mean) / p_std) ** 2 - 1) - torch.log(ratio)


def negative_log_likelihood(mean: Tensor, frames: Tensor, std: float) -> Tensor:
    """-log N(frames; mean, std^2), summed over everything, constants kept."""
    squares = F.mse_loss(mean, frames, reduction="sum")
    constant = frames.numel() * (math.log(std) + 0.5 * math.log(2 * math.pi))
    return squares / (2 * std**2) + constant
