"""An exported program makes the module's frames, in a process that knows nothing of pyrovp."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from pyrovp.export import Predictor, exported_program, predictor, save_program
from pyrovp.export.program import _Flat
from tests.export.programs import CONTEXT, HORIZON, build

RUN = """
import sys
from collections.abc import Sequence
from pathlib import Path
import torch

folder = Path(sys.argv[1])
for path in sorted(folder.glob("*.pt2")):
    program = torch.export.load(path).module()
    video = torch.load(folder / "video.pt", weights_only=True)
    for seed in (0, 1):
        torch.manual_seed(seed)
        torch.save(program(video), folder / f"{path.stem}-{seed}.pt")
assert not {"pyrovp", "pyro"} & set(sys.modules)
"""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("cwvae", "dlh", "vta"), id="fast"),
        pytest.param(("svg_lp", "hvrnn"), id="slow", marks=pytest.mark.slow),
    ],
)
def elsewhere(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Sequence[str]]:
    """A folder with programs of some systems, and what they made of a video in another process."""
    folder = tmp_path_factory.mktemp("programs")
    torch.manual_seed(1)
    video = torch.rand(2, CONTEXT, 1, 16, 16)
    torch.save(video, folder / "video.pt")
    for name in request.param:
        module = predictor(*build(name), context=CONTEXT, horizon=HORIZON)
        before = torch.get_rng_state()
        facts = save_program(folder / f"{name}.pt2", module, torch.zeros_like(video))
        assert torch.equal(torch.get_rng_state(), before), "tracing has drawn"
        assert (facts.takes, facts.makes) == (video.shape, (2, HORIZON, 1, 16, 16))
    subprocess.run([sys.executable, "-I", "-c", RUN, str(folder)], check=True, cwd=folder)
    return folder, request.param


def test_the_same_frames_from_the_same_seed(elsewhere: tuple[Path, Sequence[str]]) -> None:
    folder, names = elsewhere
    video = torch.load(folder / "video.pt", weights_only=True)
    for name in names:
        module = predictor(*build(name), context=CONTEXT, horizon=HORIZON)
        made = []
        for seed in (0, 1):
            made.append(torch.load(folder / f"{name}-{seed}.pt", weights_only=True))
            torch.manual_seed(seed)
            # Float32, and another process may choose other kernels for the same convolution.
            torch.testing.assert_close(made[-1], module(video), rtol=1e-5, atol=1e-5)
        assert not torch.equal(*made), f"two seeds make two futures of {name}"


def test_the_modules_are_left_as_they_were() -> None:
    model, guide = build("cwvae")
    module = predictor(model, guide, context=CONTEXT, horizon=1)
    weights = {name: value.clone() for name, value in module.state_dict().items()}
    parameters = list(map(id, module.parameters()))
    exported_program(module, torch.rand(1, CONTEXT, 1, 16, 16))
    assert list(map(id, module.parameters())) == parameters
    for name, value in module.state_dict().items():
        assert type(value) is Tensor and torch.equal(value, weights[name]), name
    assert torch.is_grad_enabled()


def test_a_weight_is_in_the_program_once() -> None:
    model, guide = build("cwvae")
    module = predictor(model, guide, context=CONTEXT, horizon=1)
    program = exported_program(module, torch.rand(1, CONTEXT, 1, 16, 16))
    assert len(program.state_dict) == len({id(value) for value in module.parameters()})


class _Switches(TorchFunctionMode):
    """Counts how often gradients are switched."""

    seen = 0

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.seen += func is torch._C._set_grad_enabled
        return func(*args, **(kwargs or {}))


def test_no_switch_of_gradients_is_traced() -> None:
    """Each would be taken out of the graph again, in time that grows with its square."""
    module = predictor(*build("dlh"), context=CONTEXT, horizon=1)
    video = torch.rand(1, CONTEXT, 1, 16, 16)
    with torch.no_grad(), _Switches() as bare:
        module(video)
    flat = _Flat(module)
    with torch.no_grad(), _Switches() as traced:
        flat(video)
    assert bare.seen > 20 and traced.seen == 0


class _Counts(Predictor):
    """Computes outside of torch's operations: a graph keeps its first answer."""

    calls = 0

    def forward(self, video: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(video) + self.calls


class _Decides(Predictor):
    """Does in Python what depends on a value."""

    def forward(self, video: Tensor) -> Tensor:
        frames = super().forward(video)
        return frames if frames.mean() > 0 else -frames


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (_Counts, "the exported program differs from the module by 1"),
        (_Decides, "this model cannot become one program: .* use torch.where"),
    ],
)
def test_what_cannot_be_a_program_is_not_written(
    kind: type[Predictor], message: str, tmp_path: Path
) -> None:
    odd = kind(*build("cwvae"), context=CONTEXT, horizon=1).eval()
    with pytest.raises(RuntimeError, match=message):
        save_program(tmp_path / "predictor.pt2", odd, torch.rand(1, CONTEXT, 1, 16, 16))
    assert not list(tmp_path.iterdir())
