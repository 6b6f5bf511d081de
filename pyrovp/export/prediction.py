"""Open-loop prediction as a module: frames in, frames out.

    video [B, context, C, H, W]  ->  frames [B, horizon, C, H, W]

It is `pyrovp.predict.open_loop` with context and horizon settled, so a call is one sample, drawn
from torch's generator.
"""

import torch
from torch import Tensor, nn

from pyrovp.checks import check_video
from pyrovp.predict import open_loop
from pyrovp.programs import LatentDynamics, check_pair
from pyrovp.state_space import StateSpace

__all__ = ["Predictor", "predictor"]


class Predictor(nn.Module):
    """What `predictor` makes, which see.

    Args:
        model, guide: The two programs.
        context, horizon: Frames given and predicted.

    Shapes:
        video: [B, context, C, H, W]
        returns: [B, horizon, C, H, W]
    """

    def __init__(
        self, model: LatentDynamics[StateSpace], guide: nn.Module, *, context: int, horizon: int
    ) -> None:
        super().__init__()
        self.model, self.guide = model, guide
        self.context, self.horizon = context, horizon

    def forward(self, video: Tensor) -> Tensor:
        """One sample of the frames that follow.

        Raises:
            ValueError: If the video is malformed or has another number of frames.
        """
        check_video(video, "context")
        if video.shape[1] != self.context:
            raise ValueError(
                f"this predictor takes {self.context} frames, got {video.shape[1]}; give the "
                f"last {self.context}, or make one with context={video.shape[1]}"
            )
        with torch.no_grad():
            return open_loop(self.model, self.guide, video, self.horizon).prediction


def predictor(
    model: LatentDynamics[StateSpace], guide: nn.Module, *, context: int, horizon: int
) -> Predictor:
    """A module that predicts, for use without the rest of pyrovp and for `torch.export`.

    Args:
        model, guide: The two programs; put into evaluation mode.
        context: Frames given, as many as the model starts from or more.
        horizon: Frames predicted, at least 1.

    Raises:
        ValueError: If the two do not belong together, or for numbers that do not fit them.

    Example:
        >>> from pyrovp import guides, models
        >>> model = models.rssm(resolution=16, width=0.03, memory=4, hidden=4, state=2)
        >>> predict = predictor(model, guides.rssm(model), context=3, horizon=2)
        >>> predict(torch.rand(5, 3, 1, 16, 16)).shape
        torch.Size([5, 2, 1, 16, 16])
    """
    check_pair(model, guide)
    for name, value in (("context", context), ("horizon", horizon)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"the {name} is a whole number of frames, 1 or more, got {value!r}")
    model.hierarchy.takes(context)
    module = Predictor(model, guide, context=context, horizon=horizon)
    module.eval()
    return module
