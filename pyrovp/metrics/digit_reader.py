r"""A reader of digits: which of 0 to 9 a small picture shows.

    conv 3x3 -> ReLU -> max 2x2, twice;  Linear -> ReLU -> Linear;  the largest of ten scores

It is trained once for each kind of handwriting and size, on the *training* digits, moved, turned,
blurred and dimmed a little, as predictions may be; the draw and the order are fixed, so that one
machine always makes the same reader. What it does not read of the test digits, which it never saw,
limits every figure that is made with it: `accuracy` belongs beside them.

A trained reader is kept in the user's cache folder, under the digits' sha256 and the size:

    PYROVP_CACHE, else XDG_CACHE_HOME/pyrovp, else ~/.cache/pyrovp
"""

__all__ = ["SMALLEST", "DigitReader", "cache_folder", "make_digit_reader"]

import os
from contextlib import suppress
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from pyrovp.data.handwriting import EMBEDDED, Handwriting
from pyrovp.files import atomic_write

SMALLEST = 6
"""Width in px below which digits are no longer told apart."""

_RECIPE = 1  # part of a file's name: a change of anything below makes new readers
_STEPS, _BATCH, _RATE = 800, 64, 6e-3
_AT_ONCE = 4096


class DigitReader(nn.Module):
    """Scores of the digits 0 to 9 in pictures of one size.

    Args:
        size: Width and height D of the pictures in px, at least 6.

    Attributes:
        size: As given.
        accuracy: Share of the test digits, as they are, that it reads right; nan before training.
        read: How many test digits that is a share of.

    Shapes:
        pictures: [N, D, D] in [0, 1], 1 = ink
        returns: [N, 10], logits

    Raises:
        ValueError: If the size is too small to tell digits apart.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        if not isinstance(size, int) or size < SMALLEST:
            raise ValueError(
                f"digits of {size!r} px cannot be told apart: a reader needs a whole number of "
                f"px, at least {SMALLEST}"
            )
        self.size = size
        self.accuracy = float("nan")
        self.read = 0
        quarter = -(-size // 4)
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Flatten(),
            nn.Linear(32 * quarter * quarter, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits, [N, D, D] -> [N, 10]."""
        scores: Tensor = self.layers(pictures[:, None])
        return scores

    @torch.no_grad()
    def labels(self, pictures: Tensor) -> Tensor:
        """The digit that each picture is read as, [N, D, D] -> [N]; a blank one is some digit."""
        weight = next(self.parameters())
        parts = pictures.to(weight).split(_AT_ONCE)
        return torch.cat([self(part).argmax(-1) for part in parts])


def make_digit_reader(
    handwriting: Handwriting = EMBEDDED, size: int = 28, cache: str | Path | None = None
) -> DigitReader:
    """The reader of this handwriting at this size: from the cache, or trained now.

    Training takes seconds on one core. It leaves all random generators as they are.

    Args:
        handwriting: Where the digits come from.
        size: Width of their boxes in px.
        cache: The folder where trained readers are kept; None: the user's. One that cannot be
            written only costs the training.

    Returns:
        A reader on the CPU, in evaluation mode, that takes no gradient.

    Raises:
        ValueError: If the size is too small.
        MissingFiles, DamagedFile: If the handwriting's files are not there or not whole.
    """
    with torch.random.fork_rng(devices=[]):  # torch's layers draw weights, which are replaced
        reader = DigitReader(size)
    folder = cache_folder() if cache is None else Path(cache)
    path = folder / f"digit_reader_{_RECIPE}-{handwriting.sha256()[:16]}-{size}px.pt"
    if not _load(reader, path):
        _train(reader, handwriting)
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as temporary:
                found = {"accuracy": reader.accuracy, "read": reader.read}
                torch.save({"weights": reader.state_dict(), **found}, temporary)
    return reader.eval().requires_grad_(False)


def cache_folder() -> Path:
    """The user's folder for what can be made again at any time; it need not exist."""
    if own := os.environ.get("PYROVP_CACHE"):
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(shared).expanduser() / "pyrovp"


def _load(reader: DigitReader, path: Path) -> bool:
    """Takes over a reader that was kept; a file that is damaged counts as none."""
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
        reader.load_state_dict(kept["weights"])
        reader.accuracy, reader.read = float(kept["accuracy"]), int(kept["read"])
    except Exception:  # a cut or foreign file fails in many ways, and a new one is made at once
        return False
    return True


def _train(reader: DigitReader, handwriting: Handwriting) -> None:
    """Trains from fixed first weights; one thread, since sums differ with their number."""
    digits = handwriting.load("train", reader.size)
    draw = Generator().manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.enable_grad():
            _begin(reader, draw)
            optimiser = torch.optim.Adam(reader.parameters(), _RATE)
            rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=_STEPS)
            for _ in range(_STEPS):
                chosen = torch.randint(len(digits.labels), (_BATCH,), generator=draw).numpy()
                scores = reader(_varied(torch.from_numpy(digits.images[chosen]), draw))
                loss = F.cross_entropy(scores, torch.from_numpy(digits.labels[chosen]))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                rate.step()
        digits = handwriting.load("test", reader.size)
        right = reader.labels(torch.tensor(digits.images)) == torch.tensor(digits.labels)
        reader.accuracy, reader.read = right.double().mean().item(), len(right)
    finally:
        torch.set_num_threads(threads)


def _begin(reader: DigitReader, draw: Generator) -> None:
    """torch's own first weights, U[-1/√fan-in, 1/√fan-in], from a generator of ours."""
    for layer in reader.layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            bound = layer.weight[0].numel() ** -0.5
            for parameter in layer.parameters():
                nn.init.uniform_(parameter, -bound, bound, generator=draw)


def _varied(pictures: Tensor, draw: Generator) -> Tensor:
    """Moved by up to a seventh of the box, turned, sheared, sized, blurred and dimmed."""
    batch, size = pictures.shape[:2]

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(batch, generator=draw)

    angle, shear = uniform(-0.2, 0.2), uniform(-0.15, 0.15)
    across, down = uniform(0.9, 1.1), uniform(0.9, 1.1)
    rows = [
        [angle.cos() * across, shear - angle.sin() * across, uniform(-2 / 7, 2 / 7)],
        [angle.sin() * down, angle.cos() * down, uniform(-2 / 7, 2 / 7)],
    ]
    transform = torch.stack([torch.stack(row, -1) for row in rows], 1)  # [B, 2, 3]
    grid = F.affine_grid(transform, [batch, 1, size, size], align_corners=False)
    moved = F.grid_sample(pictures[:, None], grid, align_corners=False)[:, 0]
    dimmed = moved * uniform(0.6, 1.0)[:, None, None]
    return _blurred(dimmed, uniform(0.0, size / 14))


def _blurred(pictures: Tensor, width: Tensor) -> Tensor:
    """Each by a Gaussian of its own standard deviation in px; [B, D, D], [B]."""
    place = torch.arange(pictures.shape[-1])
    apart = (place[:, None] - place).square()
    kernel = torch.exp(-apart / (2 * width.clamp(min=0.2).square()[:, None, None]))
    kernel = kernel / kernel.sum(-1, keepdim=True)  # [B, D, D]
    return kernel @ pictures @ kernel.mT
