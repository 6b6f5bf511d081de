"""A handler that notes the last value and distribution of every site."""

__all__ = ["Recorder"]

from typing import Any

from pyro.poutine.messenger import Messenger
from torch import Tensor


class Recorder(Messenger):
    """Like a trace, but a site may come again: the guide's first, then the replayed model's."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, Tensor] = {}
        self.fns: dict[str, Any] = {}

    def _pyro_post_sample(self, msg: Any) -> None:
        self.values[msg["name"]] = msg["value"]
        self.fns[msg["name"]] = msg["fn"]
