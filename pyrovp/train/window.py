"""What happened since the last row of the log, one entry per step.

Reading a number from a GPU makes the host wait for it. So the loss, the norm of the gradient
and the parts of every step stay where they were computed until someone asks; then all of them
come over in one copy, are checked for NaN and infinity, and are kept as plain numbers.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyrovp.errors import NonFiniteLoss

__all__ = ["Window"]


class Window:
    """Losses, gradient norms and parts of the steps since the last log row.

    Args:
        state: What `state` returned, to go on within an interval that a checkpoint cut.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        self._pending: list[tuple[int, dict[str, Tensor]]] = []
        self._rows: list[dict[str, float]] = [] if state is None else state["rows"]

    def append(
        self, step: int, loss: Tensor, gradient_norm: Tensor, parts: dict[str, Tensor]
    ) -> None:
        """Adds a step without reading anything from the device.

        Args:
            step: Which step this is, from 1.
            loss: Scalar.
            gradient_norm: Scalar, before clipping.
            parts: Scalars by name.
        """
        row = {"loss": loss, "gradient_norm": gradient_norm, **parts}
        self._pending.append((step, {name: value.detach() for name, value in row.items()}))

    def read(self, mean: Callable[[Tensor], Tensor] | None = None) -> None:
        """Brings the pending steps to the host.

        Args:
            mean: Of a vector of numbers over the processes that take these steps together.

        Raises:
            NonFiniteLoss: At the first step whose loss or gradient norm is not finite.
        """
        if not self._pending:
            return
        scalars = [value for _, row in self._pending for value in row.values()]
        stacked = torch.stack(scalars).cpu()
        numbers = iter((stacked if mean is None else mean(stacked)).tolist())
        pending, self._pending = self._pending, []
        for step, row in pending:
            values = dict(zip(row, numbers, strict=False))
            if not (math.isfinite(values["loss"]) and math.isfinite(values["gradient_norm"])):
                listed = ", ".join(f"{name} {value:.6g}" for name, value in values.items())
                raise NonFiniteLoss(f"the loss is not finite at step {step}: {listed}", step)
            self._rows.append(values)

    def __bool__(self) -> bool:
        """Whether there are steps that have been read and not yet logged."""
        return bool(self._rows)

    def means(self) -> dict[str, float]:
        """The mean of each number over the steps read so far, and starts afresh."""
        rows, self._rows = self._rows, []
        return {
            name: sum(row[name] for row in rows if name in row) / sum(name in row for row in rows)
            for name in dict.fromkeys(name for row in rows for name in row)
        }

    def state(self) -> dict[str, Any]:
        """What has been read and not yet logged, for a checkpoint."""
        return {"rows": self._rows}
