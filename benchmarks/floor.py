"""The floor under a training step: the stock convolutions of its frame networks, nothing else.

What a step costs beyond it is the price of all the rest: recurrence, distributions, activations,
bookkeeping. It is a yardstick rather than a bound, as `pyrovp.nets` takes some of the products by
other routes than the stock layers do.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from pyrovp.nets.dcgan import decoder_layout, encoder_channels

__all__ = ["convolution_floor"]


def convolution_floor(
    channels: int = 1,
    resolution: int = 64,
    width: float = 1.0,
    batch: int = 8,
    length: int = 100,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Callable[[], None]:
    """Forward and backward of `nn.Conv2d` and `nn.ConvTranspose2d` over B T random frames.

    All is channels last. The encoder has no padding; frames take no gradient, the decoder's input
    and all parameters do.

    Args:
        channels: Channels of a frame.
        resolution: Side of a frame in pixels: 16, 32, 64 or 128.
        width: Multiplier of the networks' channels.
        batch: Sequences B.
        length: Frames T of a sequence.
        device: Where to run.
        dtype: Of all numbers.

    Returns:
        A function that runs them once, and waits for the device.
    """
    sizes = [channels, *encoder_channels(resolution, width)]
    layout = decoder_layout(channels, resolution, width)
    encoder = nn.Sequential(
        *(nn.Conv2d(a, b, 4, stride=2) for a, b in zip(sizes, sizes[1:], strict=False))
    )
    decoder = nn.Sequential(*(nn.ConvTranspose2d(a, b, k, stride=2) for a, b, k in layout))
    networks = nn.ModuleList([encoder, decoder])
    kind: dict[str, Any] = {"device": device, "dtype": dtype}
    networks.to(**kind, memory_format=torch.channels_last)
    frames = torch.rand(batch * length, channels, resolution, resolution).to(**kind)
    frames = frames.contiguous(memory_format=torch.channels_last)
    latent = torch.randn(batch * length, layout[0][0], 1, 1).to(**kind).requires_grad_()
    to_features = torch.randn_like(encoder(frames[:1])).expand(batch * length, -1, -1, -1)
    to_features = to_features.contiguous(memory_format=torch.channels_last)
    to_frames = torch.randn_like(frames)
    inputs = [*networks.parameters(), latent]

    def run() -> None:
        torch.autograd.grad([encoder(frames), decoder(latent)], inputs, [to_features, to_frames])
        if frames.is_cuda:
            torch.cuda.synchronize(frames.device)

    return run
