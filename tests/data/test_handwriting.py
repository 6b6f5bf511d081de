"""Where digits come from: MNIST's files, whole, damaged and missing; what a split may show."""

import hashlib
import pickle
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torchvision import datasets

from pyrovp.data import MNIST, EmbeddedDigits, Split, handwriting, load_digits, mnist_files
from pyrovp.data.digits import digits_sha256
from pyrovp.data.errors import DamagedFile, DataError, MissingFiles
from pyrovp.data.handwriting import check_mnist
from tests.data.handmade import COUNTS, idx, images, labels, write_mnist

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
RANGES: dict[Split, tuple[str, int, int]] = {
    "train": ("train", 0, 60),
    "validation": ("train", 60, 80),
    "test": ("t10k", 0, 30),
}
PUBLISHED: dict[Split, tuple[int, int]] = {
    "train": (0, 55000),
    "validation": (55000, 60000),
    "test": (0, 10000),
}
splits = pytest.mark.parametrize("split", list(RANGES))


@splits
def test_a_split_is_its_part_of_the_files(mnist: MNIST, split: Split) -> None:
    part, first, end = RANGES[split]
    digits = mnist.load(split)
    assert digits.images.dtype == np.float32
    np.testing.assert_array_equal(
        digits.images, images(part)[first:end].astype(np.float32) / np.float32(255)
    )
    assert digits.labels.dtype == np.int64
    np.testing.assert_array_equal(digits.labels, labels(part)[first:end])
    assert mnist.indices(split) == (first, end)
    file = "test" if split == "test" else "training"
    assert mnist.source(split).endswith(f"{file} images {first} to {end - 1}")
    assert mnist.source(split, 14).endswith(", bilinear to 14 px")


def test_no_digit_is_in_two_splits(mnist: MNIST) -> None:
    shown = [{image.tobytes() for image in mnist.load(split).images} for split in RANGES]
    assert [len(pictures) for pictures in shown] == list(COUNTS)
    assert len(set.union(*shown)) == sum(COUNTS)


@pytest.mark.parametrize("train", [True, False])
def test_torchvision_reads_the_same(mnist: MNIST, mnist_root: Path, train: bool) -> None:
    theirs = datasets.MNIST(mnist_root, train=train, download=False)
    ours = mnist.files.read("train" if train else "test")
    np.testing.assert_array_equal(theirs.data, ours[0])
    np.testing.assert_array_equal(theirs.targets, ours[1])


def triangle(image: NDArray[np.uint8], size: int) -> NDArray[np.float64]:
    """Bilinear interpolation written out: weights fall off linearly over a source pixel, or over
    a target pixel where that is larger; pixel centres at halves."""
    scale = len(image) / size
    reach = max(scale, 1.0)
    centres = (np.arange(size)[:, None] + 0.5) * scale
    weights = (1 - np.abs(np.arange(len(image)) + 0.5 - centres) / reach).clip(0)
    weights /= weights.sum(1, keepdims=True)
    return weights @ image @ weights.T


@pytest.mark.parametrize("size", [7, 14, 32, 56])
def test_other_sizes_are_bilinear(mnist: MNIST, size: int) -> None:
    """Each axis is rounded to whole bytes, so by half a byte, twice."""
    drawn = mnist.load("test", size).images
    assert drawn.shape == (30, size, size)
    for index in (0, 7, 29):
        expected = triangle(images("t10k")[index], size)
        np.testing.assert_allclose(drawn[index] * 255, expected, atol=1.02)


def test_digits_are_shared_and_cannot_be_written(mnist: MNIST, mnist_root: Path) -> None:
    again = MNIST(mnist_root, COUNTS).load("train", 28)
    assert again.images is mnist.load("train", 28).images
    for array in again:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_root_is_found_once(
    mnist_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYROVP_DATA", mnist_root.name)
    monkeypatch.chdir(mnist_root.parent)
    mnist = MNIST(counts=COUNTS)
    assert mnist == MNIST(mnist_root, COUNTS)
    sent = pickle.dumps(mnist)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYROVP_DATA", "elsewhere")
    assert pickle.loads(sent) == mnist and pickle.loads(sent).load("test").labels[3] == 3


def test_the_sum_names_contents_and_counts(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    raw = [write_mnist(folder) for folder in folders]
    content = bytearray((raw[2] / LABELS).read_bytes())
    content[-1] = 5
    (raw[2] / LABELS).write_bytes(content)
    same, copy, other = (MNIST(folder, COUNTS).sha256() for folder in folders)
    cut_elsewhere = MNIST(folders[0], (50, 30, 30)).sha256()
    assert same == copy and len({same, other, cut_elsewhere}) == 3
    assert len(same) == 64


def test_the_embedded_digits() -> None:
    embedded = EmbeddedDigits()
    assert embedded.load("test", 14).images is load_digits("test", 14).images
    assert embedded.sha256() == digits_sha256()
    assert embedded.source("validation", 14) == (
        "scikit-learn/UCI handwritten digits 8x8 (embedded), images 1297 to 1496, bicubic to 14 px"
    )


def write_full_size(root: Path) -> dict[str, str]:
    """Files of MNIST's own counts with ink in four digits only, sparse on disk; their sums."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    sums = {}
    for part, count in (("train", 60000), ("t10k", 10000)):
        for name, shape in (
            (f"{part}-images-idx3", (count, 28, 28)),
            (f"{part}-labels-idx1", (count,)),
        ):
            path = folder / f"{name}-ubyte"
            with path.open("wb") as file:
                header = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
                file.write(header)
                for index in (0, 54999, 55000, 59999):
                    if index < count and len(shape) == 3:
                        file.seek(len(header) + 784 * index)
                        file.write(struct.pack(">H", index))
                file.truncate(len(header) + int(np.prod(shape)))
            sums[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return sums


def test_mnist_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published division; and files of the right form that are not MNIST."""
    sums = write_full_size(tmp_path)
    with pytest.raises(DamagedFile, match=rf"{IMAGES}: found the sha256 .* that of MNIST; .*get"):
        MNIST(tmp_path).load("validation")
    for name, value in sums.items():
        monkeypatch.setitem(mnist_files._SHA256, name, value)
    ends = []
    for split, (first, end) in PUBLISHED.items():
        digits = MNIST(tmp_path).load(split)
        assert len(digits.images) == len(digits.labels) == end - first
        assert MNIST(tmp_path).indices(split) == (first, end)
        ends += [digits.images[place, 0, :2] * 255 for place in (0, -1)]
    found = [round(float(high * 256 + low)) for high, low in ends]
    assert found == [0, 54999, 55000, 59999, 0, 0]  # the test file has no ink at its end
    assert MNIST(tmp_path).source("validation") == "MNIST, training images 55000 to 59999"
    said: list[str] = []
    check_mnist(tmp_path, say=said.append)
    assert "55000 digits to train with, 5000 to validate with and 10000 to test with" in said[0]
    handwriting._load.cache_clear()  # 220 MB


def test_the_published_sums_are_of_four_files() -> None:
    assert list(mnist_files._SHA256) == [
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ]
    assert {name: text[:8] for name, text in mnist_files._SHA256.items()} == {
        "train-images-idx3-ubyte": "ba891046",
        "train-labels-idx1-ubyte": "65a50cbb",
        "t10k-images-idx3-ubyte": "0fa7898d",
        "t10k-labels-idx1-ubyte": "ff7bcfd4",
    }
    assert all(len(text) == 64 for text in mnist_files._SHA256.values())


Damage = Callable[[bytes], bytes]
SIXTEEN = bytes([0, 0, 8, 3]) + struct.pack(">3I", 80, 16, 49)


@pytest.mark.parametrize(
    ("name", "damage", "found", "expected"),
    [
        (IMAGES, lambda c: c[:-1], "62735 bytes", "62736 as its header says"),
        (IMAGES, lambda c: c + b"\0", "62737 bytes", "62736 as its header says"),
        (IMAGES, lambda c: c[:10], "10 bytes", "a header of 16"),
        (IMAGES, lambda c: b"", "nothing", "00 00 08 03"),
        (IMAGES, lambda c: b"\x1f\x8b" + c[2:], "1f 8b 08 03", "00 00 08 03"),
        (IMAGES, lambda c: idx(labels("train")), "00 00 08 01", "00 00 08 03"),
        (LABELS, lambda c: idx(images("train")), "00 00 08 03", "00 00 08 01 .*one dimension"),
        (IMAGES, lambda c: idx(images("train")[:70]), "70 x 28 x 28 bytes", "80 x 28 x 28 bytes"),
        (LABELS, lambda c: idx(labels("train")[:70]), "70 bytes", "80 bytes"),
        (IMAGES, lambda c: SIXTEEN + c[16:], "80 x 16 x 49 bytes", "80 x 28 x 28 bytes"),
        (LABELS, lambda c: c[:-1] + b"\x0a", "the label 10", "labels from 0 to 9"),
        ("t10k-images-idx3-ubyte", lambda c: c[:50], "50 bytes", "23536 as its header"),
    ],
)
def test_damaged_files(
    tmp_path: Path, name: str, damage: Damage, found: str, expected: str
) -> None:
    """Whatever split is asked for; and the message names the file and says what to do."""
    path = write_mnist(tmp_path) / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DamagedFile, match=f"{name}.*found {found}, expected {expected}.*; .+"):
        MNIST(tmp_path, COUNTS).load("train")


def test_files_that_are_not_of_mnists_counts(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    with pytest.raises(DamagedFile, match="found 80 x 28 x 28 bytes, expected 60000 x 28 x 28"):
        MNIST(tmp_path).load("train")


def test_missing_files(tmp_path: Path) -> None:
    command = f"prepare moving_mnist --resolution 64 --root {tmp_path} --download"
    with pytest.raises(MissingFiles, match=rf"MNIST.raw does not hold train-images.*{command}"):
        MNIST(tmp_path).load("test")
    folder = write_mnist(tmp_path)
    (folder / LABELS).rename(folder / f"{LABELS}.gz")
    with pytest.raises(MissingFiles, match=rf"hold {LABELS}; unpack {LABELS}.gz there"):
        MNIST(tmp_path, COUNTS).load("test")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda root: MNIST(root, (1, 2)), "counts are of train, validation and test"),  # type: ignore[arg-type]
        (lambda root: MNIST(root, (1, 0, 2)), "count of validation digits .* at least 1, got 0"),
        (lambda root: MNIST(root, COUNTS).load("val"), "did you mean 'validation'"),  # type: ignore[arg-type]
        (lambda root: MNIST(root, COUNTS).load("test", 0), "size .* at least 1, got 0"),
    ],
)
def test_wrong_arguments(mnist_root: Path, call: Callable[[Path], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(mnist_root)


@pytest.fixture
def handmade(monkeypatch: pytest.MonkeyPatch) -> None:
    """`check_mnist` expects the handmade counts."""
    monkeypatch.setattr(handwriting, "MNIST", partial(MNIST, counts=COUNTS))


def server(monkeypatch: pytest.MonkeyPatch, files: Callable[[Path], Any]) -> list[Path]:
    """Stands in for torchvision's download; the returned list grows by each call's folder."""
    calls: list[Path] = []

    def download(root: str, download: bool = False) -> None:
        assert download
        calls.append(Path(root))
        files(Path(root))

    monkeypatch.setattr(datasets, "MNIST", download)
    return calls


def test_nothing_is_fetched_unasked(
    handmade: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = server(monkeypatch, write_mnist)
    with pytest.raises(MissingFiles, match="does not hold"):
        check_mnist(tmp_path, say=print)
    assert not calls and not list(tmp_path.iterdir())


def test_what_is_missing_is_fetched_once(
    handmade: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, said = server(monkeypatch, write_mnist), list[str]()
    folder = write_mnist(tmp_path)
    (folder / IMAGES).unlink()
    kept = (folder / LABELS).stat().st_mtime_ns
    for _ in range(2):
        check_mnist(tmp_path, download=True, say=said.append)
    assert len(calls) == 1 and calls[0] != tmp_path and not calls[0].exists()
    assert (folder / LABELS).stat().st_mtime_ns == kept
    assert sorted(path.name for path in folder.iterdir()) == sorted(mnist_files._SHA256)
    assert [line.split(" ")[0] for line in said] == ["fetching", "MNIST", "MNIST"]
    assert MNIST(tmp_path, COUNTS).load("train").images.any()


def break_off(root: Path) -> None:
    folder = write_mnist(root)
    (folder / IMAGES).unlink()
    raise RuntimeError("no route to host")


def break_short(root: Path) -> None:
    path = write_mnist(root) / LABELS
    path.write_bytes(path.read_bytes()[:-3])


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        (break_off, DataError, "cannot be fetched to .*no route to host; try again, or put"),
        (break_short, DamagedFile, f"{LABELS}: found 85 bytes, expected 88"),
    ],
)
def test_what_was_fetched_in_part_is_not_kept(
    handmade: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: Callable[[Path], None],
    error: type[Exception],
    message: str,
) -> None:
    server(monkeypatch, files)
    with pytest.raises(error, match=message):
        check_mnist(tmp_path, download=True, say=print)
    assert not list((tmp_path / "MNIST" / "raw").iterdir())


def test_a_folder_that_cannot_be_written(
    handmade: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server(monkeypatch, write_mnist)
    (tmp_path / "MNIST").write_text("a file")
    with pytest.raises(DataError, match="cannot be fetched"):
        check_mnist(tmp_path, download=True, say=print)
