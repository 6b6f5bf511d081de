"""The allocator's setting: that it works, that it is asked for, and where it cannot be."""

import ctypes
import gc
import os
import subprocess
import sys

import pytest

from pyrovp.process import settled, tune_allocator

__all__: list[str] = []

# In a process of its own, as the setting cannot be taken back.
PROGRAM = """
import resource
import torch
import pyrovp.nets
from pyrovp.process import settled, tune_allocator

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16 << 20)    # 64 MiB, freed at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
untuned = faults()
tuning = tune_allocator()
for _ in range(4):    # the heap may serve it from two places in turn
    faults()
print(int(tuning.applied), untuned, faults(), tuning.reason)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts page faults as Linux does")
def test_importing_the_networks_changes_nothing_and_tuning_ends_page_faults() -> None:
    preset = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(preset)}
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    applied, untuned, tuned, reason = result.stdout.split(maxsplit=3)
    if applied == "0":
        assert "not glibc" in reason
        return
    if untuned == "0":
        pytest.skip("this system does not count page faults")
    # 64 MiB are 16,384 pages of 4 KiB, or 32 of 2 MiB where the system hands out huge ones.
    assert int(untuned) >= 32
    assert int(tuned) < int(untuned) / 4


def test_says_why_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert tune_allocator() == (False, "the C library of this process is not glibc")
    monkeypatch.setenv("LD_PRELOAD", "/usr/lib/libjemalloc.so.2")
    applied, reason = tune_allocator()
    assert not applied and "jemalloc" in reason


@pytest.mark.parametrize("top_pad", [-1, 2048])
def test_refuses_a_step_that_does_not_fit_an_int(top_pad: int) -> None:
    with pytest.raises(ValueError, match=f"0 to 2047 MiB, got {top_pad}"):
        tune_allocator(top_pad)


def test_settled_objects_are_not_searched_and_new_ones_are() -> None:
    kept: list[list[int]] = [[] for _ in range(1000)]
    with settled():
        assert gc.get_freeze_count() > len(kept)
        cycle: list[object] = []
        cycle.append(cycle)
        del cycle
        assert gc.collect() > 0
    assert gc.get_freeze_count() == 0
