"""Initial weights, where a system's published ones are not torch's."""

from torch import nn

from pyrovp.cells import LSTMCell
from pyrovp.nets.joint import Joint
from pyrovp.nets.skips import SkipLayer

__all__ = ["draw_weights"]

LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, Joint, SkipLayer)


def draw_weights(module: nn.Module, std: float = 0.02) -> None:
    """DCGAN's initial weights: N(0, std²), and N(1, std²) for BatchNorms; biases are zero.

    What is inside an LSTM keeps torch's.

    Reference:
        Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
        Networks (Radford, Metz, Chintala, 2016), Section 4; so does SVG's released code.
    """
    parts = list(module.modules())
    cells = [part for part in parts if isinstance(part, LSTMCell)]
    inside = {part for cell in cells for part in cell.modules()} - {cell.layer for cell in cells}
    for part in parts:
        if part in inside:
            continue
        if isinstance(part, LAYERS):
            for name, parameter in part.named_parameters(recurse=False):
                if "bias" in name:
                    nn.init.zeros_(parameter)
                else:
                    nn.init.normal_(parameter, std=std)
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.weight, mean=1.0, std=std)
            nn.init.zeros_(part.bias)
