"""The benchmark of metrics runs, and all three are timed."""

from benchmarks import scoring


def test_it_measures() -> None:
    make, guide = scoring.SYSTEMS["cwvae, half width"]
    assert all(seconds > 0 for seconds in scoring.measured(make, guide, rounds=1))
