r"""Scores against true states: is what moves still itself, and is it where it should be?

Generated clips know what they show. Frames that a model made are looked at and compared with it,
one by one; the same of the true frames says what a score is worth.

Digits (moving digits, Moving MNIST), whose box of D px has its corner at p:

    visible              ink of at least a twentieth of the box's area; clips of one digit
    position_error       |centre of ink - (p + (D - 1) / 2)|, px; clips of one digit
    identity             a reader reads the digit right in the box at p, where it should be
    identity_where_seen  it reads it right in a box around the centre of ink; clips of one digit

The two identities differ by what a drift of the position costs. `position_error` is undefined
where nothing is visible; both identities count as lost there: what has faded is not kept. The
`identity` of several digits is the mean over those whose box overlaps no other one, and undefined
where there is none. A digit's ink is not quite in the middle of its box: true frames have an error
too.

The Moving Ball, drawn at the truncated centre c and cut at the border:

    visible           ink of at least a twentieth of the disc's area
    position_error    |centre of ink - trunc c|, px
    colour            the colour shown is the true one
    purity            how pure it is (`pyrovp.metrics.colours`), whichever it is

undefined where nothing is visible, but for `colour`, which counts as wrong. A score that is
undefined is nan, and no part of a mean.
"""

__all__ = ["BallStates", "DigitStates", "StateScores", "make_state_scores"]

import abc
import math
from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from pyrovp.data.moving_ball import COLOURS, MovingBall
from pyrovp.data.moving_digits import MovingDigits
from pyrovp.data.moving_mnist import MovingMNIST
from pyrovp.data.stochastic_moving_mnist import StochasticMovingMNIST
from pyrovp.metrics.colours import ShownColour, shown_colour
from pyrovp.metrics.digit_reader import SMALLEST, DigitReader, make_digit_reader
from pyrovp.metrics.ink import brightness, centre_of_ink, crops, ink
from pyrovp.metrics.pretrained import Absent

_FAINT = 0.05
"""Ink below which nothing is visible, as a share of what is drawn upon."""


class StateScores(abc.ABC):
    """Scores of frames against the states behind the true ones.

    Law: every frame is scored by itself, so it does not matter how many come together.

    Attributes:
        labels: What each score is, with its unit, by name.
        note: What has to be said beside every figure; may be empty.
    """

    labels: Mapping[str, str]
    note: str = ""

    @abc.abstractmethod
    def __call__(self, frames: Tensor, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Scores of each frame; nan where one is undefined.

        Args:
            frames: Made or true frames, clipped or not.
            states: True states of the same frames, by name.

        Shapes:
            frames: [..., B, T, C, H, W]
            states: name -> [B, T, ...]
            returns: by name, [..., B, T]

        Raises:
            ValueError: If a state is missing or of other frames.
        """


@final
class DigitStates(StateScores):
    """Of digits that move: see the head of this module.

    Args:
        reader: A reader of digits; its size is that of their boxes, D.
    """

    def __init__(self, reader: DigitReader) -> None:
        self.reader = reader
        self.labels = {
            "identity": "identity kept, where it should be",
            "identity_where_seen": "identity kept, where the ink is",
            "position_error": "position error [px]",
            "visible": "visible",
        }
        self.note = (
            f"digits are read by a small network that reads {reader.accuracy:.3f} of "
            f"{reader.read} test digits right, as they are drawn"
        )

    def __call__(self, frames: Tensor, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        bright, size = brightness(frames), self.reader.size  # [..., B, T, H, W]
        corner = _state(states, "position", frames, last=2).to(bright)  # [..., B, T, N, 2]
        digit = _state(states, "digit", frames)
        self.reader.to(frames.device)
        kept = torch.stack(
            [
                self._reads(bright, corner[..., n, :], digit[..., n])
                for n in range(digit.shape[-1])
            ],
            -1,
        )
        free = _apart(corner, size + 1.0)
        scores = {"identity": kept.where(free, torch.nan).nanmean(-1)}
        if digit.shape[-1] > 1:
            return scores
        middle = (size - 1) / 2
        centre = centre_of_ink(ink(bright), _FAINT * size**2)
        visible = ~centre[..., 0].isnan()
        return scores | {
            "identity_where_seen": self._reads(bright, centre - middle, digit[..., 0]),
            "position_error": (centre - corner[..., 0, :] - middle).norm(dim=-1),
            "visible": visible.to(bright),
        }

    def _reads(self, bright: Tensor, corner: Tensor, digit: Tensor) -> Tensor:
        """1 where the box there has ink, and it is read as this digit; [...]."""
        shape, size = digit.shape, self.reader.size
        boxes = crops(bright.flatten(0, -3), corner.flatten(0, -2), size)
        right = self.reader.labels(boxes) == digit.flatten()
        inked = ink(boxes).sum((-2, -1)) >= _FAINT * size**2
        return (right & inked).to(bright).view(shape)


@final
class BallStates(StateScores):
    """Of the Moving Ball: see the head of this module.

    Args:
        resolution: Height and width of the frames in px; the ball's radius is 6 px of 64.

    Reference:
        Long-Horizon Video Prediction Using a Dynamic Latent Hierarchy (Zakharov, Guo, Fountas,
        2022), Figure 6, shows such rollouts; the scores are ours.
    """

    def __init__(self, resolution: int) -> None:
        self.least = _FAINT * math.pi * (6 * resolution / 64) ** 2
        self.labels = {
            "colour": "true colour",
            "purity": "purity of the colour",
            "position_error": "position error [px]",
            "visible": "visible",
        }

    def __call__(self, frames: Tensor, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        marks = ink(brightness(frames))
        true = _state(states, "position", frames, last=2).to(marks).trunc()
        shown = self.shown(frames)
        right = shown.colour == _state(states, "colour", frames)
        return {
            "colour": right.to(marks),
            "purity": shown.purity,
            "position_error": (centre_of_ink(marks, self.least) - true).norm(dim=-1),
            "visible": (shown.colour >= 0).to(marks),
        }

    def shown(self, frames: Tensor) -> ShownColour:
        """The colours shown, as indices into `pyrovp.data.COLOURS`; `shown_changes` follows them.

        Shapes:
            frames: [..., 3, H, W]
        """
        return shown_colour(frames, torch.from_numpy(COLOURS), self.least)


def make_state_scores(dataset: Any) -> StateScores | Absent:
    """What scores frames against a data set's true states.

    Args:
        dataset: Videos of `pyrovp.data`.

    Returns:
        The scores, or why there are none.
    """
    clips = dataset.clips if isinstance(dataset, MovingMNIST) else dataset
    if isinstance(clips, MovingBall):
        return BallStates(clips.resolution)
    if not isinstance(clips, MovingDigits | StochasticMovingMNIST):
        return Absent(
            f"{type(dataset).__name__} knows no true states of its clips; those of generated "
            "digits and of the Moving Ball are known"
        )
    if clips.digit_size < SMALLEST:
        return Absent(
            f"digits of {clips.digit_size} px cannot be told apart; {SMALLEST} px are needed"
        )
    return DigitStates(make_digit_reader(clips.handwriting, clips.digit_size))


def _state(states: Mapping[str, Tensor], name: str, frames: Tensor, last: int = 0) -> Tensor:
    """A state of every frame, [..., B, T, *], on the frames' device."""
    if name not in states:
        raise ValueError(f"there is no state {name!r} among {sorted(states)}; give a data set's")
    state, leading = states[name], frames.shape[:-3]
    if len(leading) < 2 or state.shape[:2] != leading[-2:]:
        raise ValueError(
            f"frames {list(frames.shape)} are [..., B, T, C, H, W], and their states[{name!r}] "
            f"must be [B, T, ...], got {list(state.shape)}"
        )
    if last and state.shape[-1] != last:
        raise ValueError(f"states[{name!r}] must end in {last} numbers, got {list(state.shape)}")
    return state.to(frames.device).expand(*leading, *state.shape[2:])


def _apart(corner: Tensor, size: float) -> Tensor:
    """Which of N boxes overlap no other one, [..., N, 2] -> [..., N]."""
    away = (corner[..., :, None, :] - corner[..., None, :, :]).abs().amax(-1)  # [..., N, N]
    itself = torch.eye(corner.shape[-2], dtype=torch.bool, device=corner.device)
    return ((away >= size) | itself).all(-1)
