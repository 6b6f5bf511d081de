"""The systems' guides, one file each; a guide is given the model whose parts it shares."""

if __name__ == "guides":
    raise ImportError("this folder is the package pyrovp.guides; import it by that name")

from pyrovp.guides.cwvae import cwvae, notmpabs, rssm, tald
from pyrovp.guides.dlh import dlh
from pyrovp.guides.hvrnn import hvrnn, vrnn
from pyrovp.guides.svg_lp import svg_lp
from pyrovp.guides.vta import vta

__all__ = ["cwvae", "dlh", "hvrnn", "notmpabs", "rssm", "svg_lp", "tald", "vrnn", "vta"]
