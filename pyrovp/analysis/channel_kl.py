r"""How many latent channels of each level are used? Their KLs, the largest first.

The KL of a channel, and what counts as active, is defined in `pyrovp.analysis.channels`. A curve
that falls to zero at once has put everything into a few channels; one that is flat at zero belongs
to a level that holds nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pyrovp.analysis.base import Analysis, Clips
from pyrovp.analysis.channels import ACTIVE, MAXIMAL, channel_report, infer_channels
from pyrovp.analysis.findings import Curve, Findings, Line, Table
from pyrovp.programs import LatentDynamics, check_model
from pyrovp.state_space import StateSpace

__all__ = ["ChannelKL"]


@dataclass(frozen=True)
class ChannelKL(Analysis):
    """KL of each latent channel, and how many are active.

    Reference:
        Improved Conditional VRNNs for Video Prediction (Castrejon, Ballas, Courville, 2019),
        Section 5.1.2 and Figure 4, https://arxiv.org/abs/1904.12165.
    """

    def __call__(
        self, model: LatentDynamics[StateSpace], guide: nn.Module, clips: Clips
    ) -> Findings:
        """Infers the clips from all their frames and reads the KLs from the two traces.

        Raises:
            ValueError: If nothing is left of the clips to be modelled, or a state is not Gaussian.
        """
        check_model(model)
        model.scored(clips.video.shape[1])
        kl = infer_channels(model, guide, clips.video)
        facts: dict[str, Any] = {
            "unit": "nats per frame",
            "sequences": len(clips.video),
        } | channel_report(kl)
        levels = {name: facts[name] for name in (f"z_{level}" for level in kl)}
        rows = [
            [
                name,
                level["channels"],
                level["active"],
                level["maximal"],
                level["mean"],
                max(level["kl"]),
            ]
            for name, level in levels.items()
        ]
        columns = [
            "states",
            "channels",
            f"active (above {ACTIVE} nats a frame)",
            f"maximally (above {MAXIMAL})",
            "mean KL [nats a frame]",
            "largest KL [nats a frame]",
        ]
        table = Table("Active latent channels", columns, rows)
        return Findings(facts, {"channels": table, "channel_kl": _curve(kl)}, _sentences(levels))


def _curve(kl: Mapping[int, Tensor]) -> Curve:
    """Channels of each level by falling KL, and the two thresholds."""
    lines: dict[str, Line] = {}
    for level, values in kl.items():
        channels = values.double().mean(0).sort(descending=True).values.cpu()
        lines[f"level {level}"] = Line(channels.tolist(), x=list(range(1, len(channels) + 1)))
    most = max(values.shape[1] for values in kl.values())
    for name, threshold in (("active", ACTIVE), ("maximally active", MAXIMAL)):
        lines[name] = Line([threshold, threshold], x=[1, most])
    return Curve(
        title="KL of the latent channels of each level, the largest first",
        x="channel, sorted",
        y="KL [nats a frame]",
        lines=lines,
    )


def _sentences(levels: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        f"{name}: {level['active']} of {level['channels']} channels are active (above {ACTIVE} "
        f"nats a frame), {level['maximal']} maximally (above {MAXIMAL})"
        for name, level in levels.items()
    ]
