"""Shards: there and back, and an evaluation that is killed and goes on."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pyrovp.evaluation import FrechetDistance, Results, Shards, evaluate, key_of, weights_hash
from pyrovp.evaluation.batch import Batch, Part, score_batch
from pyrovp.metrics import FVD
from tests.evaluation.programs import Programs, digits, protocol, tiny_programs


class Killed(Exception):
    """In the place of a kill."""


def run(programs: Programs, shards: Shards | None = None, kill_after: int = 10**6) -> Results:
    left = kill_after

    def done(futures: int) -> None:
        nonlocal left
        left -= futures
        if left <= 0:
            raise Killed

    return evaluate(
        *programs, digits(), digits("train"), protocol(3), batch=2, rows=4, films=3, show="ssim",
        clip_measures=[FrechetDistance(FVD(lambda clips: clips.mean((2, 3, 4))), context=True)],
        shards=shards, done=done,
    )  # fmt: skip


def same(a: Results, b: Results) -> bool:
    assert a.extremes and b.extremes
    return (
        a.summary() == b.summary()
        and all(torch.equal(x, getattr(b.films, name)) for name, x in vars(a.films).items())
        and torch.equal(a.extremes.best, b.extremes.best)
        and torch.equal(a.extremes.worst, b.extremes.worst)
    )


@pytest.fixture
def programs(seed: int) -> Programs:
    return tiny_programs()


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The first sequences of the batches that were scored."""
    starts: list[int] = []

    def watched(batch: Batch, *rest: Any, **named: Any) -> Part:
        starts.append(batch.start)
        return score_batch(batch, *rest, **named)

    monkeypatch.setattr("pyrovp.evaluation.evaluator.score_batch", watched)
    return starts


@pytest.mark.parametrize("kill_after", [1, 7, 15])
def test_a_killed_evaluation_goes_on(
    programs: Programs, tmp_path: Path, scored: list[int], kill_after: int
) -> None:
    straight = run(programs)
    shards = Shards(tmp_path / "shards", "key")
    with pytest.raises(Killed):
        run(programs, shards, kill_after)
    kept = len(list(tmp_path.glob("shards/key/*.npz")))
    assert kept == max(0, kill_after - 1) // 6  # whole batches of 2 sequences, 3 samples each
    scored.clear()
    assert same(run(programs, shards), straight)
    assert scored == [0, 2, 4][kept:]
    scored.clear()
    assert same(run(programs, shards), straight)
    assert not scored


def test_progress_counts_what_was_kept(programs: Programs, tmp_path: Path) -> None:
    counts: list[int] = []
    for _ in range(2):
        counts.append(0)

        def done(futures: int) -> None:
            counts[-1] += futures

        evaluate(
            *programs, digits(), digits("train"), protocol(3), batch=2,
            shards=Shards(tmp_path, "key"), done=done,
        )  # fmt: skip
    assert counts == [15, 15]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", None])
def test_a_damaged_shard_is_made_again(
    programs: Programs, tmp_path: Path, scored: list[int], content: bytes | None
) -> None:
    shards = Shards(tmp_path, "key")
    straight = run(programs, shards)
    path = shards.path(2)
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] if content is None else content)
    scored.clear()
    assert same(run(programs, shards), straight)
    assert scored == [2] and path.read_bytes() == whole


def test_a_flipped_bit_is_noticed(programs: Programs, tmp_path: Path, scored: list[int]) -> None:
    shards = Shards(tmp_path, "key")
    straight = run(programs, shards)
    content = bytearray(shards.path(0).read_bytes())
    content[len(content) // 2] ^= 1
    shards.path(0).write_bytes(bytes(content))
    scored.clear()
    assert same(run(programs, shards), straight)
    assert scored == [0]


@pytest.mark.parametrize(("place", "value"), [(8, 1), (10, 99)])  # a password; a compression
def test_a_spoilt_header_is_noticed(
    programs: Programs, tmp_path: Path, scored: list[int], place: int, value: int
) -> None:
    shards = Shards(tmp_path, "key")
    straight = run(programs, shards)
    content = bytearray(shards.path(2).read_bytes())
    content[content.index(b"PK\x01\x02") + place] = value
    shards.path(2).write_bytes(content)
    scored.clear()
    assert same(run(programs, shards), straight) and scored == [2]


def test_another_key_and_another_batch_do_not_count(programs: Programs, tmp_path: Path) -> None:
    shards = Shards(tmp_path, "key")
    run(programs, shards)
    assert shards.load(2, 2) is not None
    assert shards.load(4, 2) is None  # the last batch has one sequence
    assert Shards(tmp_path, "other").load(2, 2) is None
    Shards(tmp_path, "other").drop_others()
    assert shards.load(2, 2) is None


def test_a_hash_names_the_weights(programs: Programs) -> None:
    before = weights_hash(*programs)
    assert before == weights_hash(*programs)
    with torch.no_grad():
        next(programs[1].parameters()).view(-1)[0] += 1e-6
    assert weights_hash(*programs) != before


def test_a_key_does_not_depend_on_the_order_of_facts() -> None:
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1}) != key_of({"a": 2, "b": [2]})
