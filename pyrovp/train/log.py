"""What a run says about itself: rows of JSON, a progress bar and, where asked for, TensorBoard.

`metrics.jsonl` has one row per log interval with means over it,

    {"step": 100, "loss": ..., "gradient_norm": ..., "parts": {"frames": ..., "z_1": ...},
     "beta": ..., "lr": ..., "frames_per_second": ..., "seconds": ...}

and one per validation, `{"step": 200, "validation": ...}`. A run that continues from a
checkpoint first cuts the rows beyond it, which it is about to write again.
"""

import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pyrovp.files import atomic_write

__all__ = ["Log", "check_tensorboard", "read_rows"]


def check_tensorboard() -> None:
    """Refuses to go on where TensorBoard is missing.

    Raises:
        ValueError: If it is not installed.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise ValueError(
            "train.tensorboard=true needs the package tensorboard, which is not installed; "
            "run: pip install 'pyrovp[tensorboard]', or set train.tensorboard=false"
        )


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl, without lines that are none.

    Such as the last one, if it was cut while it was written, or what a disk has lost.
    """
    rows = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:  # no JSON, or not even text
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
    return rows


class Log:
    """The log of one run; a context manager, opened at the step that training begins at.

    Args:
        folder: Where `metrics.jsonl` lies; None writes no files.
        tensorboard: Whether to write event files to `folder/tensorboard`.
        bar: Whether to show progress on the standard error stream.

    Raises:
        ValueError: If TensorBoard is asked for and not installed.
    """

    def __init__(
        self, folder: Path | None = None, tensorboard: bool = False, bar: bool = True
    ) -> None:
        if tensorboard:
            check_tensorboard()
        self._folder = folder
        self._tensorboard = tensorboard and folder is not None
        self._show = bar
        self._events: Any = None
        self._bar: Any = None
        self._shown: dict[str, str] = {}

    def begin(self, step: int, steps: int) -> None:
        """Cuts what lies beyond `step` and shows the bar.

        Args:
            step: Finished steps.
            steps: Steps asked for.
        """
        if self._folder is not None:
            path = self._folder / "metrics.jsonl"
            rows = [row for row in read_rows(path) if row["step"] <= step]
            with atomic_write(path) as temporary:
                temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
        if self._tensorboard and self._folder is not None:
            from torch.utils.tensorboard import SummaryWriter  # an extra

            self._events = SummaryWriter(str(self._folder / "tensorboard"), purge_step=step + 1)
        self._bar = tqdm(
            total=steps,
            initial=step,
            unit="step",
            disable=not self._show,
            dynamic_ncols=True,
            # A terminal redraws one line; in a file every update is a line of its own.
            mininterval=0.1 if sys.stderr.isatty() else 15.0,
        )

    def end(self) -> None:
        """Closes the bar and the event files."""
        if self._bar is not None:
            self._bar.close()
        if self._events is not None:
            self._events.close()

    def advance(self) -> None:
        """One step is done."""
        self._bar.update()

    def say(self, text: str) -> None:
        """A line that does not break the bar."""
        tqdm.write(text, file=sys.stderr)

    def write(self, row: Mapping[str, Any]) -> None:
        """Appends a row.

        Args:
            row: "step", numbers, and "parts" as a mapping of numbers.
        """
        if self._folder is not None:
            with (self._folder / "metrics.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
        numbers = {
            k: v for k, v in {**row, **row.get("parts", {})}.items() if isinstance(v, float)
        }
        if self._events is not None:
            for name, value in numbers.items():
                self._events.add_scalar(name, value, row["step"])
        hidden = ("lr", "seconds", "gradient_norm", "beta")
        self._shown |= {k: f"{v:.4g}" for k, v in numbers.items() if k not in hidden}
        self._bar.set_postfix(self._shown, refresh=False)
