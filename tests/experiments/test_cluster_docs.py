"""docs/clusters.md: its SLURM script with stand-ins for SLURM, and its commands."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.experiments.tiny import Outcome

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "clusters.md").read_text()

# A run that saves on SIGTERM and ends with 1, as torchrun does; RUN_ENDS: it ends by itself.
TORCHRUN = """#!/bin/bash
echo "$@" > arguments
trap 'echo saved > saved; exit ${AFTER_SAVING:-1}' TERM
touch started
[ -n "$RUN_ENDS" ] && exit "$RUN_ENDS"
for _ in $(seq 200); do sleep 0.05; done
"""
SCONTROL = """#!/bin/bash
[ "$1" = show ] && printf 'node7\\nnode8\\n'
[ "$1" = requeue ] && echo "$2" > queued
exit 0
"""


def job(folder: Path, **environment: str) -> subprocess.Popen[bytes]:
    """The script of the documentation, as SLURM would start it."""
    (script,) = re.findall(r"```bash\n(#!/bin/bash\n.*?)```", TEXT, re.DOTALL)
    stand_ins = {"torchrun": TORCHRUN, "scontrol": SCONTROL, "srun": '#!/bin/bash\nexec "$@"\n'}
    for name, text in {"job": script, **stand_ins}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    slurm = {"SLURM_JOB_ID": "42", "SLURM_NNODES": "2", "SLURM_JOB_NODELIST": "node[7-8]"}
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        ["bash", "job"], cwd=folder, env=os.environ | slurm | {"PATH": path} | environment
    )


def warned(folder: Path, process: subprocess.Popen[bytes]) -> int:
    """The exit code after SIGTERM to the script alone."""
    deadline = time.monotonic() + 60
    while not (folder / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    return process.wait(60)


def test_a_job_that_is_warned_saves_and_is_queued_again(tmp_path: Path) -> None:
    assert warned(tmp_path, job(tmp_path)) != 0
    assert (tmp_path / "saved").exists() and (tmp_path / "queued").read_text() == "42\n"
    arguments = (tmp_path / "arguments").read_text()
    assert "--nnodes=2" in arguments and "--rdzv-endpoint=node7:29500" in arguments


def test_a_job_that_ends_just_then_is_not(tmp_path: Path) -> None:
    assert warned(tmp_path, job(tmp_path, AFTER_SAVING="0")) == 0
    assert (tmp_path / "saved").exists() and not (tmp_path / "queued").exists()


@pytest.mark.parametrize("code", ["0", "2"])
def test_a_job_that_ends_by_itself(tmp_path: Path, code: str) -> None:
    assert job(tmp_path, RUN_ENDS=code).wait(60) == int(code)
    assert not (tmp_path / "queued").exists()


COMMANDS = re.findall(r"^(?:python|torchrun \S+) experiments/run.py ([^#\n]*)", TEXT, re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_compose(command: Callable[..., Outcome], line: str) -> None:
    """Of a sweep its first member, without quoted ranges."""
    first = re.sub(r"=([\w.]+),[\w.,]+", r"=\1", line.removeprefix("-m "))
    arguments = [text for text in first.split() if "'" not in text]
    outcome = command(*arguments, "--cfg", "job", tiny=False)
    assert outcome.code == 0, outcome.errors
