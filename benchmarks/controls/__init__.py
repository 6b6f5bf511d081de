"""Training losses by hand in plain PyTorch: what the library's speed is measured against."""

from benchmarks.controls.cwvae import CWVAE
from benchmarks.controls.dlh import DLH
from benchmarks.controls.hvrnn import HVRNN
from benchmarks.controls.svg import SVG
from benchmarks.controls.vta import VTA

__all__ = ["CWVAE", "DLH", "HVRNN", "SVG", "VTA"]
