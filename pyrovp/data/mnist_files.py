"""MNIST's four files: checked, read and, if asked for, fetched.

    train-images-idx3-ubyte  60000 x 28 x 28    train-labels-idx1-ubyte  60000
    t10k-images-idx3-ubyte   10000 x 28 x 28    t10k-labels-idx1-ubyte   10000

Other data sets (Fashion-MNIST, KMNIST) have files of the same names and shapes, so the contents'
sums are compared too.
"""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pyrovp.data.errors import DamagedFile, DataError, MissingFiles
from pyrovp.data.idx import read_idx
from pyrovp.data.places import prepare_command

__all__ = ["MNISTFiles", "fetch"]

_COUNTS = (60_000, 10_000)

_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""What they hold, unpacked."""


@dataclass(frozen=True)
class MNISTFiles:
    """The files in a folder.

    Args:
        folder: ROOT/MNIST/raw, where they are, unpacked.
        train, test: Digits in each pair of files. With other counts than MNIST's own they are
            files made by hand, of which no sums are known.
    """

    folder: Path
    train: int = _COUNTS[0]
    test: int = _COUNTS[1]

    @property
    def genuine(self) -> bool:
        """Whether nothing but MNIST itself passes."""
        return (self.train, self.test) == _COUNTS

    def missing(self) -> list[str]:
        """Names of the files that are not there."""
        return [name for name in _SHA256 if not (self.folder / name).is_file()]

    def read(self, part: Literal["train", "test"]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Images and labels of the training or the test files.

        Shapes:
            returns: [N, 28, 28], [N]

        Raises:
            MissingFiles, DamagedFile: If one of the two is not there or not as it should be.
        """
        self._check_presence()
        count, start = (self.train, "train") if part == "train" else (self.test, "t10k")
        image_file, label_file = (name for name in _SHA256 if name.startswith(start))
        images = read_idx(self.folder / image_file, (count, 28, 28))
        labels = read_idx(self.folder / label_file, (count,))
        if labels.max() > 9:
            raise DamagedFile(
                self.folder / label_file,
                f"the label {labels.max()}",
                "labels from 0 to 9",
                "delete it and get it again",
            )
        return images, labels

    def sha256(self) -> str:
        """One sum over the four files, all of which are checked.

        Raises:
            MissingFiles, DamagedFile: If one is not there or not as it should be.
        """
        self.read("train")
        self.read("test")
        found = {name: _sha256(self.folder / name) for name in _SHA256}
        for name, expected in _SHA256.items():
            if self.genuine and found[name] != expected:
                raise DamagedFile(
                    self.folder / name,
                    f"the sha256 {found[name]}",
                    f"{expected}, that of MNIST",
                    "it is damaged or of another data set; delete it and get MNIST's",
                )
        return hashlib.sha256("".join(found.values()).encode()).hexdigest()

    def _check_presence(self) -> None:
        if not (missing := self.missing()):
            return
        packed = [f"{name}.gz" for name in missing if (self.folder / f"{name}.gz").is_file()]
        command = prepare_command(self.folder.parent.parent, "moving_mnist", 64, "--download")
        advice = (
            f"unpack {', '.join(packed)} there (gunzip)"
            if packed
            else f"put MNIST's four files there, unpacked, or fetch them with `{command}`"
        )
        raise MissingFiles(f"{self.folder} does not hold {', '.join(missing)}; {advice}")


def fetch(files: MNISTFiles) -> None:
    """Fetches MNIST (12 MB, packed) through torchvision and moves over what is missing.

    A file that has its final name is whole: torchvision would take a part of one for all of it.

    Raises:
        DamagedFile: If what was fetched is not MNIST.
        DataError: If nothing can be fetched, or the folder cannot be written.
    """
    # Only here: it takes a second or two to import, and reading needs none of it.
    from torchvision import datasets

    try:
        files.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=files.folder) as temporary:
            datasets.MNIST(temporary, download=True)
            fetched = MNISTFiles(Path(temporary, "MNIST", "raw"), files.train, files.test)
            fetched.sha256()
            for name in files.missing():
                (fetched.folder / name).replace(files.folder / name)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"MNIST cannot be fetched to {files.folder}: {error}; try again, or put its four "
            "files there, unpacked"
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
