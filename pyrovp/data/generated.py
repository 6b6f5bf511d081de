"""Data sets that are made while they are read, as `python -m pyrovp.data` knows them.

They need no preparation. Those of MNIST digits need its four files, which are checked, and fetched
if that is asked for.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from pyrovp.data.contact_sheet import FRAMES, VIDEOS, Strip, contact_sheet
from pyrovp.data.errors import DataError
from pyrovp.data.handwriting import check_mnist
from pyrovp.data.keyed import KeyedVideos, Split
from pyrovp.data.moving_ball import MovingBall
from pyrovp.data.moving_digits import MovingDigits
from pyrovp.data.moving_mnist import MovingMNIST
from pyrovp.data.stochastic_moving_mnist import StochasticMovingMNIST
from pyrovp.data.store.disk import writing
from pyrovp.words import counted

__all__ = ["GENERATED", "Generated", "draw_clips"]

Say = Callable[[str], None]

_INSIDE = "inside the package"


class Check(Protocol):
    """Makes sure that a data set has the files that it needs."""

    def __call__(self, root: Path, download: bool, say: Say) -> None: ...


@dataclass(frozen=True)
class Generated:
    """A data set that is made while it is read.

    Args:
        name: As on the command line and in configurations.
        title: Its proper name.
        what: What the videos show.
        licence: Of what they are made from.
        address: Where that comes from.
        size: Of that, for people.
        place: Where its files are looked for.
        splits: What keeps the splits apart.
        make: The videos of a split: (split, frames of a clip, resolution in px, ROOT).
        check: Refuses if files are missing.
    """

    name: str
    title: str
    what: str
    licence: str
    address: str
    size: str
    place: str
    splits: str
    make: Callable[[Split, int, int, Path], KeyedVideos]
    check: Check

    @property
    def embedded(self) -> bool:
        """Whether it needs no files but the package's own."""
        return self.place == _INSIDE


def draw_clips(made: Generated, root: Path, resolution: int, say: Say) -> Path:
    """Draws a contact sheet of the first clips of each split, and says where.

    Args:
        made: The data set; its files have been checked.
        root: The folder of all data; the picture goes to `ROOT/prepared/NAME/`.
        resolution: Height and width of the frames in px.
        say: Told what happens, in lines.

    Raises:
        DataError: If it cannot be written.
    """
    path = root / "prepared" / made.name / "contact_sheet.png"
    splits: tuple[Split, ...] = ("train", "validation", "test")
    rows = [row for split in splits for row in _clips(made, split, resolution, root)]
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(rows, path)
    say(f"{made.name} is made while it is read and needs no preparation; look at {path}")
    return path


def _clips(made: Generated, split: Split, resolution: int, root: Path) -> Iterator[Strip]:
    length = 2 * FRAMES  # every second one is shown
    videos = made.make(split, length, resolution, root)
    for index in range(VIDEOS):
        clip = videos[index]["video"].movedim(1, -1).numpy()[::2]  # [T, C, H, W] -> [T, H, W, C]
        frames = (clip * 255).round().astype(np.uint8)
        yield Strip(f"{split}  item {index}  {counted(length, 'frame')}, every second one", frames)


def _no_files(name: str, root: Path, download: bool, say: Say) -> None:
    if download:
        raise DataError(f"{name} comes without files: there is nothing to fetch")


def _moving_digits(split: Split, length: int, resolution: int, root: Path) -> KeyedVideos:
    return MovingDigits(split, length, resolution)


def _moving_ball(split: Split, length: int, resolution: int, root: Path) -> KeyedVideos:
    return MovingBall(split, length, resolution=resolution)


def _moving_mnist(split: Split, length: int, resolution: int, root: Path) -> KeyedVideos:
    return MovingMNIST(split, length, root, resolution)


def _stochastic(split: Split, length: int, resolution: int, root: Path) -> KeyedVideos:
    return StochasticMovingMNIST(split, length, root, resolution)


_MNIST = {
    "licence": "of MNIST (LeCun, Cortes): Creative Commons Attribution-Share Alike 3.0",
    "address": "fetched through torchvision with --download, or MNIST's four files, unpacked, in "
    "ROOT/MNIST/raw",
    "size": "12 MB to fetch, 55 MB unpacked",
    "place": "ROOT/MNIST/raw",
    "splits": "by digit: of the training file's 60000 the first 55000 train and the others "
    "validation; the test file's 10000 test",
}

GENERATED: dict[str, Generated] = {
    made.name: made
    for made in (
        Generated(
            name="moving_digits",
            title="Moving digits",
            what="real handwritten digits that move and bounce, by the rules of Moving MNIST",
            licence="of the digits (UCI Optical Recognition of Handwritten Digits): CC BY 4.0",
            address="travels with the package",
            size="1797 digits",
            place=_INSIDE,
            splits="by digit: 1297 train, 200 validation, 300 test",
            make=_moving_digits,
            check=functools.partial(_no_files, "moving_digits"),
        ),
        Generated(
            name="moving_ball",
            title="Moving Ball",
            what="a disc that bounces and changes its colour, at walls and at random",
            licence="none needed: it is drawn",
            address="travels with the package",
            size="no files",
            place=_INSIDE,
            splits="by the key of each clip",
            make=_moving_ball,
            check=functools.partial(_no_files, "moving_ball"),
        ),
        Generated(
            name="moving_mnist",
            title="Moving MNIST (Srivastava, Mansimov, Salakhutdinov, 2015)",
            what="two MNIST digits that move and bounce",
            make=_moving_mnist,
            check=check_mnist,
            **_MNIST,
        ),
        Generated(
            name="stochastic_moving_mnist",
            title="Stochastic Moving MNIST (Denton, Fergus, 2018)",
            what="two MNIST digits that leave a wall in a new, random direction",
            make=_stochastic,
            check=check_mnist,
            **_MNIST,
        ),
    )
}
"""Every generated data set."""
