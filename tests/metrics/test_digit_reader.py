"""The reader of digits: what it reads, that it is always the same, and where it is kept."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from pyrovp.data import EmbeddedDigits, load_digits
from pyrovp.metrics import DigitReader, digit_reader, make_digit_reader

SIZE = 8


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few steps of training: enough to differ from nothing."""
    monkeypatch.setattr(digit_reader, "_STEPS", 20)


def weights(reader: DigitReader) -> Tensor:
    return torch.cat([parameter.flatten() for parameter in reader.parameters()])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> DigitReader:
    """As everyone gets it."""
    return make_digit_reader(size=14, cache=tmp_path_factory.mktemp("cache"))


def test_reads_digits_it_never_saw(trained: DigitReader) -> None:
    """0.980 of the test digits where this was written; the margin is for other machines' sums."""
    assert trained.read == 300 and trained.accuracy > 0.95
    digits = load_digits("test", 14)
    right = trained.labels(torch.tensor(digits.images)) == torch.tensor(digits.labels)
    assert right.double().mean().item() == pytest.approx(trained.accuracy)
    held_out = load_digits("validation", 14)
    right = trained.labels(torch.tensor(held_out.images)) == torch.tensor(held_out.labels)
    assert right.double().mean() > 0.95
    assert not trained.training and not any(p.requires_grad for p in trained.parameters())


def test_reads_digits_that_are_moved_and_blurred(trained: DigitReader) -> None:
    """By two pixels of fourteen, and by a mean over 3 x 3."""
    digits = load_digits("validation", 14)
    pictures, labels = torch.tensor(digits.images), torch.tensor(digits.labels)
    moved = torch.roll(pictures, (1, -2), (1, 2))
    blurred = torch.nn.functional.avg_pool2d(pictures[:, None], 3, 1, 1)[:, 0]
    for altered in (moved, blurred):
        assert (trained.labels(altered) == labels).double().mean() > 0.9


@pytest.mark.usefixtures("hasty")
def test_training_is_repeatable_and_disturbs_nothing(tmp_path: Path) -> None:
    torch.set_num_threads(2)
    torch.manual_seed(1)
    with torch.no_grad():
        first = make_digit_reader(size=SIZE, cache=tmp_path / "one")
        assert not torch.is_grad_enabled()
    after = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(3)) and torch.get_num_threads() == 2
    second = make_digit_reader(size=SIZE, cache=tmp_path / "two")
    assert torch.equal(weights(first), weights(second)) and first.accuracy == second.accuracy


@pytest.mark.usefixtures("hasty")
def test_is_kept_in_the_cache_by_digits_and_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYROVP_CACHE", str(tmp_path / "mine"))
    first = make_digit_reader(size=SIZE)
    (file,) = (tmp_path / "mine").iterdir()
    assert EmbeddedDigits().sha256()[:16] in file.name and f"{SIZE}px" in file.name
    monkeypatch.setattr(digit_reader, "_train", lambda *_: pytest.fail("it was kept"))
    again = make_digit_reader(EmbeddedDigits(), SIZE)
    assert torch.equal(weights(first), weights(again))
    assert (again.accuracy, again.read) == (first.accuracy, first.read)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("damage", ["cut", "foreign"])
def test_a_damaged_file_is_replaced(tmp_path: Path, damage: str) -> None:
    first = make_digit_reader(size=SIZE, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    if damage == "cut":
        file.write_bytes(whole[: len(whole) // 2])
    else:
        torch.save({"weights": {}}, file)
    assert torch.equal(weights(first), weights(make_digit_reader(size=SIZE, cache=tmp_path)))
    kept = torch.load(file, weights_only=True)
    assert kept["accuracy"] == first.accuracy


@pytest.mark.usefixtures("hasty")
def test_a_folder_that_cannot_be_written_only_costs_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    reader = make_digit_reader(size=SIZE, cache=tmp_path / "file" / "cache")
    assert reader.read == 300


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"PYROVP_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/pyrovp"),
        ({"HOME": "/c"}, "/c/.cache/pyrovp"),
    ],
)
def test_where_the_cache_is(
    variables: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYROVP_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert digit_reader.cache_folder().as_posix() == folder


@pytest.mark.parametrize("size", [5, 0, 8.0])
def test_refuses_sizes_at_which_nothing_can_be_read(size: int) -> None:
    with pytest.raises(ValueError, match="cannot be told apart"):
        make_digit_reader(size=size)
