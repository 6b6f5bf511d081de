"""Networks: frame encoders and decoders, dense networks, the joint linear layer."""

from pyrovp.nets.dcgan import DCGANDecoder, DCGANEncoder
from pyrovp.nets.joint import Joint
from pyrovp.nets.mlp import MLP

__all__ = ["MLP", "DCGANDecoder", "DCGANEncoder", "Joint"]
