"""The sides of a GPU's comparisons, made on a CPU with a tiny system: all of them run."""

import pytest
import torch
from torch import nn

from benchmarks import controls, gpu
from benchmarks.systems import System
from pyrovp import Objective, guides, models
from pyrovp.nets import DCGANDecoder, DCGANEncoder

__all__: list[str] = []


def _library(levels: int = 1, resolution: int = 64) -> nn.Module:
    model = models.cwvae(
        levels=levels, resolution=resolution, width=0.05, memory=4, hidden=4, state=2
    )
    return Objective(model, guides.cwvae(model, lift=(4,)))


def _control() -> nn.Module:
    encoder = DCGANEncoder(1, width=0.05)
    decoder = DCGANDecoder(6, 1, width=0.05, output=nn.Tanh())
    return controls.CWVAE(encoder, decoder, levels=1, state=2, memory=4, hidden=4, mlp=4)


TINY = System(
    _library,
    _control,
    length=2,
    channels=1,
    gpu_batch=1,
    multiples=(1.0, 2.0),
    levels=(1, 2),
    resolutions=(32,),
)


def test_the_sides_run(capsys: pytest.CaptureFixture[str]) -> None:
    seen = {}
    for comparison in gpu.comparisons({"tiny": TINY}, "cpu"):
        if "TF32" in comparison.what or comparison.what == "generation":
            continue  # a GPU's alone; a hundred samples
        seen[comparison.title] = list(comparison.sides)
        for side in comparison.sides.values():
            side.make()()
    assert seen["tiny: training step"] == [
        "captured", "eager", "by hand, eager", "its own convolutions",
    ]  # fmt: skip
    assert "tiny: training step, networks in bf16" in seen
    assert seen["tiny: growth in levels"] == ["L = 1", "L = 2"]
    assert "not captured as one CUDA graph: the weights lie on cpu" in capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_captured_steps_are_captured(capsys: pytest.CaptureFixture[str]) -> None:
    work = gpu.library_step(TINY, gpu.captured, (2, 3, 64), torch.device("cuda"))
    work()
    assert capsys.readouterr().err == ""
