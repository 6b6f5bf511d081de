"""Tables: what stands in one, what does not, and what is written into it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pyrovp.compare import Comparison, ComparisonSettings, Table
from pyrovp.metrics import ssim_preset
from tests.compare.handmade import PROTOCOL, run


def compared(*runs: Path, protocol: str | None = None) -> Comparison:
    return Comparison(ComparisonSettings([str(one) for one in runs], protocol=protocol))


def only(comparison: Comparison) -> Table:
    """The only table."""
    (section,) = comparison.sections
    (table,) = section.tables
    return table


def test_mean_and_spread_over_seeds(tmp_path: Path) -> None:
    values = {0: 18.0, 2: 24.0, 1: 21.0}
    table = only(compared(*(run(tmp_path, seed=s, psnr=v) for s, v in values.items())))
    (row,) = table.of("model")
    cell = row.cells[table.columns[0]]
    assert (row.name, row.seeds, row.steps) == ("cwvae", (0, 1, 2), (5, 5, 5))
    assert list(cell.values) == [18.0, 21.0, 24.0]
    assert (cell.mean, cell.spread) == (21.0, 3.0)
    assert cell.curves.shape == (3, 3) and list(cell.curves.mean(0)) == [21.0] * 3
    assert [row.name for row in table.of("baseline")] == ["copy last", "random sequence"]
    assert all(row.cells[table.columns[0]].mean == 10.0 for row in table.of("baseline"))


def test_one_seed_has_no_spread(tmp_path: Path) -> None:
    table = only(compared(run(tmp_path)))
    assert str(table.of("model")[0].cells[table.columns[0]].spread) == "nan"


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"protocol": replace(PROTOCOL, horizon=4)}, "another protocol: horizon 4 instead of 3"),
        ({"protocol": replace(PROTOCOL, samples=2, clip=False)},
         "another protocol: samples 2 instead of 1, unclipped instead of clipped"),
        ({"protocol": replace(PROTOCOL, ssim=ssim_preset("wang"))},
         "another protocol: SSIM wang instead of svg"),
        ({"split": "else", "clips": "c"}, "another test split: else instead of split"),
        ({"split": None, "clips": "c"}, "the test split of one of them is not recorded"),
        ({"sequences": 1, "clips": "c"}, "other clips: 1 instead of 2"),
        ({"clips": "c"}, "other clips of the same split"),
    ],
)  # fmt: skip
def test_what_is_apart_and_why(tmp_path: Path, other: dict, reason: str) -> None:
    first, second = run(tmp_path), run(tmp_path, "rssm")
    (section,) = compared(run(tmp_path, "dlh", **other), first, second).sections
    assert [row.name for row in section.main.of("model")] == ["cwvae", "rssm"]
    (apart,) = section.apart
    assert [row.name for row in apart.table.of("model")] == ["dlh"]
    assert apart.reasons == (reason,)


def test_a_protocol_is_known_by_its_definition(tmp_path: Path) -> None:
    """Neither its name nor that of its SSIM counts."""
    renamed = replace(PROTOCOL, name="own", ssim=replace(PROTOCOL.ssim, name="mine"))
    table = only(compared(run(tmp_path), run(tmp_path, "rssm", protocol=renamed)))
    assert len(table.of("model")) == 2


def test_an_early_run_that_did_not_say_its_split(tmp_path: Path) -> None:
    early = run(tmp_path, "rssm", split=None)
    assert only(compared(run(tmp_path), early)).split == "split"
    assert only(compared(early)).split is None


def test_other_speeds_are_other_data_sets(tmp_path: Path) -> None:
    runs = [run(tmp_path, settings={"speed": v}, clips=f"at {v}") for v in (0.3, 1.0)]
    sections = compared(*runs).sections
    assert [one.title for one in sections] == [
        "moving_digits speed=0.3", "moving_digits speed=1",
    ]  # fmt: skip
    assert all(one.main.of("model")[0].name == "cwvae" and not one.apart for one in sections)


def test_names_say_in_what_runs_differ(tmp_path: Path) -> None:
    here = [run(tmp_path, settings={"factor": f, "levels": 2}) for f in (2, 4)]
    there = run(tmp_path, settings={"factor": 4, "levels": 2}, data="moving_ball", clips="balls")
    digits, ball = compared(*here, there, run(tmp_path, "rssm")).sections
    assert [row.name for row in digits.main.of("model")] == ["cwvae factor=2", "cwvae factor=4",
                                                             "rssm"]  # fmt: skip
    # The same name on every data set, so that ranks can be taken over them.
    assert [row.name for row in ball.main.of("model")] == ["cwvae factor=4"]


def test_names_of_other_weights_and_steps(tmp_path: Path) -> None:
    folder = run(tmp_path)
    run(tmp_path, evaluation="own-best", weights="best", step=3)
    run(tmp_path, evaluation="own-early", step=2)
    names = {row.name for row in only(compared(folder)).of("model")}
    assert names == {"cwvae, best weights", "cwvae, last weights, 5 steps",
                     "cwvae, last weights, 2 steps"}  # fmt: skip


def test_best_weights_of_two_seeds_are_one_row(tmp_path: Path) -> None:
    runs = [run(tmp_path, seed=s, weights="best", step=3 + s) for s in (0, 1)]
    (row,) = only(compared(*runs)).of("model")
    assert (row.seeds, row.steps) == ((0, 1), (3, 4))


def test_an_evaluation_stands_for_the_same_of_the_run(tmp_path: Path) -> None:
    folder = run(tmp_path, kl_per_sequence={"z_1": 7.0}, events={"mean_levels": 1.25})
    fvd = {"distance": 91.5, "made": 2, "frames": 5, "context": 2, "extractor": "I3D",
           "sha256": "2c26b46b68ff"}  # fmt: skip
    file = run(tmp_path, evaluation="own-1", kl_per_sequence={"z_1": 7.0})
    path = file / "evaluations/own-1/metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"clips": {"fvd": fvd}}))
    comparison = compared(folder)
    table = only(comparison)
    (row,) = table.of("model")
    assert [column.metric for column in table.columns] == ["psnr", "ssim", "fvd"]
    assert table.columns[2].label == ("FVD (2 clips of 5 frames, 2 of them given; I3D 2c26b46b68)")
    assert row.cells[table.columns[2]].mean == 91.5 and not comparison.left_out
    assert row.inside == {"KL z_1 [nats]": (7.0,), "employed levels": (1.25,)}


def test_true_states_are_columns(tmp_path: Path) -> None:
    means = {"model": 0.8, "true_frames": 0.99, "copy_last": 0.9}
    rows = {
        name: {"mean": value, "standard_error": None, "per_frame": [value, None, value]}
        for name, value in means.items()
    }
    folder = run(tmp_path)
    path = folder / "metrics.json"
    states = {"scores": {"identity": {"label": "identity kept", "rows": rows}}, "note": None}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"clips": {"states": states}}))
    table = only(compared(folder))
    column = table.columns[2]
    assert (column.metric, column.label) == ("states/identity", "identity kept")
    found = {row.name: row.cells[column].mean for row in table.rows if column in row.cells}
    assert found == {"cwvae": 0.8, "copy last": 0.9, "true frames": 0.99}
    assert column.better is None


def test_a_metric_says_itself_what_is_better(tmp_path: Path) -> None:
    """SSIM under a measure of one's own, for which less is better; early runs did not say."""
    said = only(compared(run(tmp_path / "a", better={"psnr": "higher", "ssim": "lower"})))
    assert [column.better for column in said.columns] == ["higher", "lower"]
    early = only(compared(run(tmp_path / "b")))
    assert [column.better for column in early.columns] == ["higher", "higher"]


def test_two_figures_for_one_thing_are_told(tmp_path: Path) -> None:
    folder = run(tmp_path, psnr=20.0)
    run(tmp_path, evaluation="own-1", psnr=20.5)
    comparison = compared(folder)
    assert only(comparison).of("model")[0].cells[only(comparison).columns[0]].mean == 20.0
    (left,) = comparison.left_out
    assert "other scores than" in left.reason and "for the same seed" in left.reason


def test_two_definitions_are_two_columns(tmp_path: Path) -> None:
    labels = {"psnr": "PSNR [dB] (clipped)", "ssim": "SSIM (mine)"}
    table = only(compared(run(tmp_path), run(tmp_path, "rssm", labels=labels)))
    assert [column.label for column in table.columns] == [
        "PSNR [dB] (clipped)", "SSIM (svg, clipped)", "SSIM (mine)",
    ]  # fmt: skip
    cwvae, rssm = table.of("model")
    assert table.columns[2] not in cwvae.cells and table.columns[1] not in rssm.cells


def test_average_samples_are_rows_of_their_own(tmp_path: Path) -> None:
    table = only(compared(run(tmp_path, average=15.0)))
    (row,) = table.of("average sample")
    assert row.name == "cwvae, average sample" and row.cells[table.columns[0]].mean == 15.0
    assert len(table.of("model")) == 1


def test_only_one_protocol_on_request(tmp_path: Path) -> None:
    own, other = run(tmp_path), run(tmp_path, "dlh", protocol=replace(PROTOCOL, horizon=4))
    comparison = compared(own, other, protocol=PROTOCOL.hash)
    assert [row.name for row in only(comparison).of("model")] == ["cwvae"]
    assert [left.reason for left in comparison.left_out] == [
        f"only protocol={PROTOCOL.hash} was asked for"
    ]


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("metrics.json", None, "the run is not finished"),
        ("metrics.json", "{", "cannot be read"),
        ("metrics.json", "[]", "holds no figures of a run"),
        ("metrics.json", '{"rows": {}}', "holds no figures of a run (no 'labels')"),
        ("config.yaml", "a: [", "its config.yaml cannot be read"),
    ],
)
def test_what_cannot_be_read_is_left_out(
    tmp_path: Path, file: str, content: str | None, reason: str
) -> None:
    damaged = run(tmp_path, "rssm")
    path = damaged / file
    path.unlink() if content is None else path.write_text(content)
    comparison = compared(run(tmp_path), damaged)
    assert [row.name for row in only(comparison).of("model")] == ["cwvae"]
    (left,) = comparison.left_out
    assert str(damaged) in left.what and reason in left.reason
