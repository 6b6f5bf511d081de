"""Mean ranks: by hand, and who takes part."""

from pathlib import Path

import pytest

from pyrovp.compare import Ranks, mean_ranks, ranked
from tests.compare.handmade import run
from tests.compare.test_tables import compared


def ranks(*runs: Path) -> Ranks | None:
    return mean_ranks(compared(*runs).sections)


@pytest.mark.parametrize(
    ("scores", "better", "expected"),
    [
        ([3.0, 1.0, 2.0], "higher", [1, 3, 2]),
        ([3.0, 1.0, 2.0], "lower", [3, 1, 2]),
        ([2.0, 2.0, 1.0, 3.0], "higher", [2, 2, 4, 1]),
    ],
)
def test_equals_share_the_better_rank(
    scores: list[float], better: str, expected: list[int]
) -> None:
    assert ranked(scores, better) == expected


def test_over_metrics_and_data_sets(tmp_path: Path) -> None:
    scores = {"cwvae": (22.0, 0.5), "dlh": (21.0, 0.7), "rssm": (20.0, 0.6)}
    runs = [run(tmp_path, m, psnr=p, ssim=s) for m, (p, s) in scores.items()]
    runs += [
        run(tmp_path, m, psnr=p, ssim=0.1, data="moving_ball")
        for m, p in (("rssm", 30.0), ("dlh", 20.0), ("cwvae", 10.0))
    ]
    found = ranks(*runs)
    assert found is not None and len(found.columns) == 4 and not found.left_out
    # digits: PSNR 1 2 3, SSIM 3 1 2; ball: PSNR 3 2 1, SSIM equal
    assert found.means == {"dlh": 6 / 4, "rssm": 7 / 4, "cwvae": 8 / 4}
    assert list(found.means) == ["dlh", "rssm", "cwvae"]


def test_ranks_are_of_means_over_seeds(tmp_path: Path) -> None:
    runs = [run(tmp_path, "cwvae", s, psnr=v) for s, v in ((0, 30.0), (1, 10.0))]
    found = ranks(*runs, run(tmp_path, "dlh", psnr=21.0, ssim=0.6))
    assert found is not None and found.means == {"dlh": 1.0, "cwvae": 2.0}


def test_who_lacks_a_column_is_not_ranked(tmp_path: Path) -> None:
    names = ("cwvae", "dlh", "rssm")
    runs = [run(tmp_path, m, psnr=20.0 + i) for i, m in enumerate(names)]
    runs += [run(tmp_path, m, data="moving_ball") for m in names[:2]]
    found = ranks(*runs)
    assert found is not None and list(found.means) == ["dlh", "cwvae"]
    (left,) = found.left_out
    assert left.what == "rssm" and "PSNR [dB] (clipped) on moving_ball" in left.reason
    # Ranks are among those who take part: rssm's first place counts for nobody.
    assert found.means["dlh"] == 1.0


def test_a_data_set_of_one_model_gives_no_column(tmp_path: Path) -> None:
    pair = [run(tmp_path, "cwvae", psnr=21.0), run(tmp_path, "dlh")]
    found = ranks(*pair, run(tmp_path, "rssm", data="moving_ball"))
    assert found is not None and len(found.columns) == 2 and set(found.means) == {"cwvae", "dlh"}
    assert ranks(pair[0]) is None
