"""What every data set made of files keeps to, and the list of them."""

from pathlib import Path

import pytest

from pyrovp.data.errors import DataError, MissingFiles
from pyrovp.data.registry import SOURCES, find_source
from pyrovp.data.sources.base import Source

NAMES = [
    "bair", "cityscapes", "gqn_mazes", "kth", "minerl_navigate", "moving_mnist_test",
    "video_folder",
]  # fmt: skip


def test_the_list_of_data_sets() -> None:
    assert sorted(SOURCES) == NAMES
    assert all(source.name == name for name, source in SOURCES.items())


@pytest.mark.parametrize("name", NAMES)
def test_what_people_are_told(name: str) -> None:
    source = find_source(name)
    for fact in ("title", "what", "licence", "address", "layout", "size", "splits"):
        assert getattr(source, fact).strip(), fact
    assert source.channels in (1, 3) and source.resolution == 64 and source.version >= 1
    assert set(source.counts) <= {"train", "test"}
    assert all(count > 0 for count in source.counts.values())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("there", [False, True])
def test_no_originals(name: str, there: bool, tmp_path: Path) -> None:
    source, folder = find_source(name), tmp_path / "originals"
    if there:
        (folder / "train").mkdir(parents=True)
        (folder / "train" / "readme.txt").touch()
    with pytest.raises(MissingFiles) as error:
        source.originals(folder)
    said = str(error.value)
    for part in (name, str(folder), source.layout, source.address, "--originals"):
        assert part in said
    assert ("does not exist" in said) != there


def test_published_counts() -> None:
    """KTH: 24 videos a person, one of them missing; BAIR: files of 256 trajectories."""
    assert SOURCES["kth"].counts == {"train": 20 * 24 - 1, "test": 5 * 24}
    assert SOURCES["bair"].counts == {"train": 169 * 256, "test": 256}
    assert SOURCES["cityscapes"].counts == {"train": 1877, "test": 256}
    assert SOURCES["minerl_navigate"].counts == {"train": 961}


@pytest.mark.parametrize("wrong", ["kht", "", "KTH "])
def test_an_unknown_name(wrong: str) -> None:
    with pytest.raises(DataError, match="name of a data set must be .*'video_folder'") as error:
        find_source(wrong)
    assert ("did you mean 'kth'" in str(error.value)) == bool(wrong)


def test_sources_are_values_that_workers_can_be_sent() -> None:
    import pickle

    for source in SOURCES.values():
        assert isinstance(pickle.loads(pickle.dumps(source)), Source)
