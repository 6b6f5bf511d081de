"""What every analysis is: a question asked of a model, its guide and some clips.

    findings = LevelReset(level=2)(model, guide, clips)

An analysis is an object with settings, so that a configuration can name it
(`experiments/conf/analysis/`), and a function of a model, a guide and clips, so that it works on
any composition. It changes neither programs nor weights.
"""

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from pyrovp.analysis.findings import Findings
from pyrovp.programs import LatentDynamics
from pyrovp.state_space import StateSpace

__all__ = ["Analysis", "Clips"]


@dataclass(frozen=True)
class Clips:
    """Held-out clips and what is known of them.

    Args:
        video: The clips.
        context: How many frames are given where something is predicted.
        states: True states by name, where the data set knows them.
        source: Where they come from, in words.

    Shapes:
        video: [B, T, C, H, W]
        states: name -> [B, T, ...]
    """

    video: Tensor
    context: int
    states: Mapping[str, Tensor] = field(default_factory=dict)
    source: str = ""


class Analysis(abc.ABC):
    """A question to a trained model. Noise comes from the ambient generators: seed them."""

    @abc.abstractmethod
    def __call__(
        self, model: LatentDynamics[StateSpace], guide: nn.Module, clips: Clips
    ) -> Findings:
        """Asks it.

        Raises:
            ValueError: If the question makes no sense for this model or these clips: says why.
        """
