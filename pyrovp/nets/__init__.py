"""Networks: frame encoders and decoders, dense networks, the joint linear layer."""

from pyrovp.nets.batch_norm import StepBatchNorm2d
from pyrovp.nets.dcgan import DCGANDecoder, DCGANEncoder
from pyrovp.nets.dcgan_skips import SkipDCGANDecoder, SkipDCGANEncoder
from pyrovp.nets.joint import Joint
from pyrovp.nets.mlp import MLP
from pyrovp.nets.pixels import SignedPixels, UnitTanh
from pyrovp.nets.residual import ResidualEncoder
from pyrovp.nets.skip_decoder import SkipDecoder
from pyrovp.nets.strided import StridedDecoder, StridedEncoder
from pyrovp.nets.vgg import VGGDecoder, VGGEncoder

__all__ = [
    "MLP",
    "DCGANDecoder",
    "DCGANEncoder",
    "Joint",
    "ResidualEncoder",
    "SignedPixels",
    "SkipDCGANDecoder",
    "SkipDCGANEncoder",
    "SkipDecoder",
    "StepBatchNorm2d",
    "StridedDecoder",
    "StridedEncoder",
    "UnitTanh",
    "VGGDecoder",
    "VGGEncoder",
]
