"""Training losses by hand in plain PyTorch: what the library's speed is measured against."""

from benchmarks.controls.cwvae import CWVAE
from benchmarks.controls.dlh import DLH

__all__ = ["CWVAE", "DLH"]
