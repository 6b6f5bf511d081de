"""The embedded digits: their counts, their splits and their enlargement."""

import numpy as np
import pytest

from pyrovp.data import Split, load_digits
from pyrovp.data.digits import _FILE, DIGIT_RANGES, digits_sha256

splits = pytest.mark.parametrize(
    ("split", "count"), [("train", 1297), ("validation", 200), ("test", 300)]
)


@splits
def test_counts_shapes_and_range(split: Split, count: int) -> None:
    digits = load_digits(split, 28)
    assert digits.images.shape == (count, 28, 28)
    assert digits.images.dtype == np.float32
    assert digits.images.min() == 0 and digits.images.max() == 1
    assert digits.labels.shape == (count,)
    assert set(digits.labels.tolist()) == set(range(10))


def test_no_digit_is_in_two_splits() -> None:
    """Neither by index nor by value: no two of the 1797 images are alike."""
    indices = [set(range(*DIGIT_RANGES[split])) for split in DIGIT_RANGES]
    assert sum(map(len, indices)) == len(set.union(*indices)) == 1797
    images = [load_digits(split, 8).images for split in ("train", "validation", "test")]
    assert len({image.tobytes() for image in np.concatenate(images)}) == 1797


@splits
def test_eight_pixels_are_the_original(split: Split, count: int) -> None:
    with _FILE.open("rb") as file, np.load(file) as stored:
        original = stored["images"][slice(*DIGIT_RANGES[split])] / 16
    np.testing.assert_allclose(load_digits(split, 8).images, original, atol=1e-6)


def catmull_rom(distance: float) -> float:
    """Keys' cubic convolution kernel with a = -1/2."""
    d = abs(distance)
    if d < 1:
        return 1.5 * d**3 - 2.5 * d**2 + 1
    return -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0


def test_enlargement_is_bicubic() -> None:
    """Away from the border, against the textbook sum over the sixteen nearest pixels."""
    small = load_digits("test", 8).images[5].astype(np.float64)
    large = load_digits("test", 28).images[5]
    for row, column in [(8, 8), (10, 19), (14, 13), (19, 9)]:
        y, x = (row + 0.5) * 8 / 28 - 0.5, (column + 0.5) * 8 / 28 - 0.5
        value = sum(
            small[j, i] * catmull_rom(y - j) * catmull_rom(x - i)
            for j in range(int(y) - 1, int(y) + 3)
            for i in range(int(x) - 1, int(x) + 3)
        )
        assert large[row, column] == pytest.approx(min(max(value, 0), 1), abs=1e-5)


def test_the_shared_arrays_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        load_digits("train", 28).images[0] = 0


def test_the_file_is_small_and_its_sum_is_pinned() -> None:
    """A changed file would silently change every result."""
    assert len(_FILE.read_bytes()) < 100_000
    assert digits_sha256().startswith("b2dab7b501728c22")


def test_errors() -> None:
    with pytest.raises(ValueError, match="did you mean 'train'"):
        load_digits("training")
    with pytest.raises(ValueError, match="size .* at least 1, got 0"):
        load_digits("train", 0)
