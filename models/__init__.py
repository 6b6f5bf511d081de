"""The systems' generative programs, one file each, assembled from pyrovp's primitives."""

if __name__ == "models":
    raise ImportError("this folder is the package pyrovp.models; import it by that name")

from pyrovp.models.cwvae import cwvae, notmpabs, rssm, tald
from pyrovp.models.dlh import dlh
from pyrovp.models.hvrnn import hvrnn, vrnn
from pyrovp.models.svg_lp import svg_lp
from pyrovp.models.vta import vta

__all__ = ["cwvae", "dlh", "hvrnn", "notmpabs", "rssm", "svg_lp", "tald", "vrnn", "vta"]
