"""`python -m pyrovp.export RUN [OUT]`: a run's weights and configuration, to keep or to send.

    python -m pyrovp.export runs/dlh-moving_digits-1f0c9a2b/seed0          into RUN/exported
    python -m pyrovp.export RUN OUT --weights best
    python -m pyrovp.export RUN --program context=12 horizon=50 batch=4    predictor.pt2 too

`pyrovp.load` takes the folder like a run's. Its weights are safetensors, which hold no code.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn

from pyrovp.errors import RunError
from pyrovp.export.prediction import predictor
from pyrovp.export.program import save_program
from pyrovp.runs.exported import PROGRAM, About, is_exported, read_about, write_about, write_folder
from pyrovp.runs.trained import Trained, load
from pyrovp.words import counted

__all__ = ["main"]

_KEYS = ("context", "horizon", "batch")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.

    Args:
        arguments: Of the command line; by default this process's.

    Returns:
        The exit code: 2 where there is no such run, or its files cannot be written.
    """
    given = _parser().parse_args(arguments)
    try:
        asked = None if given.program is None else _sizes(given.program)
        run = load(given.run, weights=given.weights, device=given.device)
        # An exported folder holds one set of weights, and says which.
        weights = read_about(run.path).weights if is_exported(run.path) else given.weights
        out = given.out or run.path / "exported"
        about = write_folder(
            out,
            nn.ModuleDict({"model": run.model, "guide": run.guide}),
            (run.path / "config.yaml").read_bytes(),
            model=run.name,
            data=run.data,
            step=run.step,
            weights=weights,
        )
        if asked is not None:
            write_about(out, _with_program(out, about, run, asked))
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(
        f"{run.name} on {run.data} after {counted(run.step, 'step')} ({weights} weights), "
        f"{about.parameters:,} parameters; files in {out}:"
    )
    for path in sorted(path for path in out.iterdir() if path.is_file()):
        print(f"  {path.name} ({path.stat().st_size / 2**20:.1f} MB)")
    return 0


def _with_program(out: Path, about: About, run: Trained, asked: dict[str, int]) -> About:
    """Writes the program, and says so."""
    stored = run.settings
    sizes = {"context": stored.evaluate.context, "horizon": stored.evaluate.horizon, "batch": 1}
    sizes |= asked
    data = stored.data.get("resolution")
    resolution = data if isinstance(data, int) else run.videos("test").resolution
    shape = (sizes["batch"], sizes["context"], stored.channels, resolution, resolution)
    module = predictor(run.model, run.guide, context=sizes["context"], horizon=sizes["horizon"])
    video = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(run.device)
    return replace(about, program=asdict(save_program(out / PROGRAM, module, video)))


def _sizes(given: Sequence[str]) -> dict[str, int]:
    """The sizes of a program, from KEY=VALUE."""
    found: dict[str, int] = {}
    for text in given:
        key, _, value = text.partition("=")
        if key not in _KEYS or not value.isdecimal() or int(value) < 1:
            raise RunError(
                f"--program takes context=, horizon= and batch= with whole numbers of at least 1, "
                f"as in --program context=12 horizon=50; got {text}"
            )
        found[key] = int(value)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pyrovp.export",
        description="Writes a run's weights and configuration into a folder to keep or to send.",
    )
    parser.add_argument("run", type=Path, help="runs/NAME/seed0")
    parser.add_argument("out", type=Path, nargs="?", help="the folder; by default RUN/exported")
    parser.add_argument(
        "--weights",
        choices=("last", "best"),
        default="last",
        help="the newest, or the best on validation data",
    )
    parser.add_argument(
        "--program",
        nargs="*",
        metavar="KEY=VALUE",
        help="also a prediction that runs without pyrovp: context=, horizon= (by default the "
        "run's evaluation's) and batch= (by default 1)",
    )
    parser.add_argument(
        "--device", default="cpu", help="where the program will run: cpu (default) or cuda"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
