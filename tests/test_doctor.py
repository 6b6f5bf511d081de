"""The doctor's findings, on small files and with packages that are not there."""

import dataclasses
import hashlib
import json
import shlex
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from pyrovp.data import __main__ as data_command
from pyrovp.data.generated import GENERATED
from pyrovp.data.prepare import prepare
from pyrovp.data.registry import SOURCES
from pyrovp.data.sources import video_folder
from pyrovp.data.status import AtResolution, Begun, Originals, Status
from pyrovp.doctor.__main__ import main
from pyrovp.doctor.devices import look_at_devices
from pyrovp.doctor.outlook import CLIP, NEEDED_BY, Outlook, outlook
from pyrovp.doctor.packages import EXTRAS, REQUIRED, Package, look_up
from pyrovp.doctor.weights import look_at_i3d, look_at_trunk
from pyrovp.metrics.fvd import I3D_VARIABLE
from pyrovp.metrics.i3d import InceptionI3D
from pyrovp.metrics.perceptual import TRUNKS
from pyrovp.metrics.pretrained import ADDRESS

ROOT = Path(__file__).parents[1]
CONF = ROOT / "experiments" / "conf"


# Packages


def test_what_is_installed_says_its_version() -> None:
    found = look_up(REQUIRED[0])
    assert found.there and found.version == torch.__version__


@pytest.mark.parametrize("package", EXTRAS, ids=lambda package: package.module)
def test_an_absent_extra(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package.module, None)
    found = look_up(package)
    assert not found.there and found.version is None
    assert found.problem == "not installed" and found.install.startswith("pip install 'pyrovp[")


def test_a_package_that_lacks_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_there.py").write_text("import another_that_is_missing\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = look_up(Package("half-there", "half_there", "nothing", "pip install half-there"))
    assert found.problem == "needs another_that_is_missing"


def test_a_package_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "raise RuntimeError('operator nms does not exist\\nand more lines')\n"
    (tmp_path / "refusing.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = look_up(Package("refusing", "refusing", "nothing", "pip install refusing"))
    assert found.problem is not None
    assert found.problem.endswith("RuntimeError: operator nms does not exist")


def test_a_package_without_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nameless", ModuleType("nameless"))
    found = look_up(Package("nameless-pyrovp-test", "nameless", "nothing", ""))
    assert found.there and found.version == "of unknown version"


def test_the_extras_are_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for package in EXTRAS:
        name = package.install.partition("[")[2].partition("]")[0]
        needed = project["optional-dependencies"][name]
        assert any(line.startswith(package.project) for line in needed)
    for package in REQUIRED:
        assert any(line.startswith(package.project) for line in project["dependencies"])


# Devices


def test_no_cuda_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = look_at_devices()
    assert found.cuda == () and found.no_cuda is not None and torch.__version__ in found.no_cuda
    assert found.cores >= 1 and found.threads == torch.get_num_threads()


def test_cuda_devices_with_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["first", "second"]
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        torch.cuda,
        "get_device_properties",
        lambda index: SimpleNamespace(name=names[index], total_memory=(index + 1) << 30),
    )
    found = look_at_devices()
    assert [(device.name, device.memory) for device in found.cuda] == [
        ("first", 1 << 30),
        ("second", 2 << 30),
    ]
    assert found.no_cuda is None


def test_a_driver_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> int:
        raise RuntimeError("CUDA unknown error\nand a long text")

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", broken)
    assert look_at_devices().no_cuda == "CUDA unknown error"


# Weights


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torchvision would keep its weights: an empty folder of this test."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    return folder


def test_a_whole_trunk(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"tiny weights"
    name = f"tiny-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    (checkpoints / name).write_bytes(content)
    monkeypatch.setitem(TRUNKS, "alex", name)
    found = look_at_trunk("alex")
    assert (found.state, found.note) == ("whole", str(checkpoints / name))


@pytest.mark.parametrize("name", sorted(TRUNKS))
def test_a_damaged_trunk(checkpoints: Path, name: str) -> None:
    content = b"a download that broke off"
    (checkpoints / TRUNKS[name]).write_bytes(content)
    found = look_at_trunk(name)
    assert found.state == "damaged" and str(checkpoints / TRUNKS[name]) in found.note
    assert hashlib.sha256(content).hexdigest()[:8] in found.note
    assert f"not {TRUNKS[name][-12:-4]}" in found.note, "the digits that the name promises"


def test_a_trunk_that_cannot_be_read(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkpoints / TRUNKS["vgg"]).touch()

    def refused(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pyrovp.doctor.weights.sha256", refused)
    found = look_at_trunk("vgg")
    assert found.state == "damaged" and found.note.endswith("cannot be read: Permission denied")


def test_an_absent_trunk(checkpoints: Path) -> None:
    found = look_at_trunk("squeeze")
    assert found.state == "absent" and f"{ADDRESS}{TRUNKS['squeeze']}" in found.note


@pytest.fixture
def i3d(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment's I3D: its true names and shapes, in tensors that take no room."""
    path = tmp_path / "i3d.pt"
    with torch.device("meta"):
        state = InceptionI3D().state_dict()
    zeros = {name: torch.zeros((), dtype=t.dtype).expand(t.shape) for name, t in state.items()}
    torch.save(zeros, path)
    monkeypatch.setenv(I3D_VARIABLE, str(path))
    return path


def test_no_i3d_says_what_it_must_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(I3D_VARIABLE, raising=False)
    found = look_at_i3d()
    assert found.state == "absent"
    assert I3D_VARIABLE in found.note and "Kinetics-400" in found.note


def test_a_whole_i3d(i3d: Path) -> None:
    found = look_at_i3d()
    assert found.state == "whole"
    assert found.note.endswith(hashlib.sha256(i3d.read_bytes()).hexdigest())


def test_an_i3d_that_is_not_there(i3d: Path) -> None:
    i3d.unlink()
    found = look_at_i3d()
    assert found.state == "absent" and str(i3d) in found.note


def test_a_cut_i3d(i3d: Path) -> None:
    i3d.write_bytes(i3d.read_bytes()[:-200])
    found = look_at_i3d()
    assert found.state == "damaged" and str(i3d) in found.note


def test_weights_of_something_else(i3d: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, i3d)
    found = look_at_i3d()
    assert found.state == "damaged" and "no Conv3d_1a_7x7.conv3d.weight" in found.note


# Outlook

VIDEOS = {"train": 5, "validation": 1, "test": 2}


def status(**facts: Any) -> Status:
    """Of KTH, with originals unless the facts say otherwise."""
    originals = Originals("found", VIDEOS, (".avi",))
    return dataclasses.replace(Status("kth", "KTH actions", False, originals), **facts)


def stored(resolution: int = 64, **facts: Any) -> AtResolution:
    """KTH as prepared, unless the facts say otherwise."""
    folder, shortest = Path(f"data/prepared/kth-{resolution}px"), dict.fromkeys(VIDEOS, 200)
    return dataclasses.replace(AtResolution(resolution, folder, VIDEOS, shortest), **facts)


def look(found: Status, root: Path | None = None) -> Outlook:
    return outlook(found, [look_up(extra) for extra in EXTRAS], root)


def test_prepared_is_ready_to_train() -> None:
    found = look(status(prepared=(stored(),)))
    assert found.verdict == "train" and found.reason == ""
    assert found.command == "python experiments/run.py +model=dlh +data=kth"


def test_the_default_resolution_is_preferred() -> None:
    both = look(status(prepared=(stored(32), stored(64))))
    assert "data.resolution" not in both.command
    other = look(status(prepared=(stored(128),)))
    assert other.command.endswith("+data=kth data.resolution=128")


def test_a_damaged_one_does_not_stand_in_the_way_of_a_whole_one() -> None:
    broken = stored(64, problem="cut short; prepare it again: ...")
    assert look(status(prepared=(broken,))) == Outlook("kth", "blocked", "", broken.problem)
    assert "data.resolution=128" in look(status(prepared=(broken, stored(128)))).command


def test_what_a_run_needs_to_be_told() -> None:
    few = stored(videos={"train": 1, "validation": 0, "test": 1})
    assert look(status(prepared=(few,))).command.endswith("+data=kth train.validate_sequences=0")
    short = stored(shortest={"train": 200, "test": CLIP - 1})
    found = look(status(prepared=(short,)))
    assert found.verdict == "train"
    assert f"has {CLIP - 1} frames" in found.reason and "data.length" in found.reason
    assert look(status(prepared=(stored(shortest={"test": CLIP}),))).reason == ""


@pytest.mark.parametrize(
    ("videos", "said"),
    [({"test": 10}, "no videos for train"), ({"train": 10, "test": 0}, "no videos for test")],
)
def test_what_cannot_be_trained_on(videos: dict[str, int], said: str) -> None:
    found = look(status(prepared=(stored(videos=videos),)))
    assert found.verdict == "blocked" and said in found.reason and found.command == ""


def test_originals_can_be_prepared() -> None:
    found = look(status())
    assert (found.verdict, found.reason) == ("prepare", "")
    assert found.command == "python -m pyrovp.data prepare kth --resolution 64"


def test_what_is_begun_goes_on_at_its_resolution() -> None:
    found = look(status(begun=(Begun(128, Path("data/prepared/.kth-128px.part"), 7),)))
    assert found.command.endswith("prepare kth --resolution 128")
    assert found.reason == "goes on: 7 originals done"


def test_what_is_begun_from_a_folder_elsewhere_needs_to_be_told() -> None:
    gone = Originals("missing", {}, problem="a long text")
    begun = Begun(128, Path("data/prepared/.kth-128px.part"), 7)
    found = look(status(originals=gone, begun=(begun,)))
    assert found.verdict == "blocked" and "--originals" in found.reason
    assert found.reason.startswith("7 originals were prepared to 128 px")


def test_no_originals_says_where_they_are_from() -> None:
    found = look(status(originals=Originals("missing", {}, problem="a long text")))
    assert found.verdict == "blocked" and "data/kth" in found.reason
    assert SOURCES["kth"].address in found.reason and SOURCES["kth"].size in found.reason


def test_unusable_originals_say_why() -> None:
    found = look(status(originals=Originals("unusable", {}, problem="two of a kind")))
    assert found == Outlook("kth", "blocked", "", "two of a kind")


@pytest.mark.parametrize(
    ("suffix", "module", "project"),
    [(".avi", "av", "av"), (".tfrecords", "google_crc32c", "google-crc32c"), (".png", "av", "")],
)
def test_originals_that_need_an_extra(
    suffix: str, module: str, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    found = look(status(originals=Originals("found", VIDEOS, (suffix,))))
    if project:
        assert found.verdict == "blocked" and suffix in found.reason
        assert f"{project}: pip install 'pyrovp[data]'" in found.reason
    else:
        assert found.verdict == "prepare"


def test_another_folder_of_data_is_named_in_commands(tmp_path: Path) -> None:
    root = tmp_path / "my data"
    trained = look(status(prepared=(stored(),)), root).command
    assert f"data.root={root}" in shlex.split(trained)
    assert shlex.split(look(status(), root).command)[-2:] == ["--root", str(root)]
    embedded = Status("moving_ball", "Moving Ball", True, Originals("found", {}))
    assert "root" not in look(embedded, root).command  # it has no such setting
    mnist = Status("moving_mnist", "Moving MNIST", True, Originals("found", {}))
    assert f"data.root={root}" in shlex.split(look(mnist, root).command)


@pytest.mark.parametrize(
    "name", ["data", "my data", "a=b", "données (1)", "x,y", "it's", "~", "{x}", "[1]"]
)
def test_a_folder_of_data_is_named_as_hydra_takes_it(tmp_path: Path, name: str) -> None:
    command = look(status(prepared=(stored(),)), tmp_path / name).command
    override = OverridesParser.create().parse_override(shlex.split(command)[-1])
    assert override.key_or_group == "data.root" and override.value() == str(tmp_path / name)


def test_generated_sets() -> None:
    ready = Status("moving_ball", "Moving Ball", True, Originals("found", {}))
    assert look(ready).command.endswith("+data=moving_ball")
    waiting = dataclasses.replace(ready, originals=Originals("missing", {}, problem="no MNIST"))
    assert look(waiting) == Outlook("moving_ball", "blocked", "", "no MNIST")


def test_every_kind_of_video_is_known_to_need_its_reader() -> None:
    assert NEEDED_BY["av"] == video_folder._FILMS
    assert set(NEEDED_BY) <= {package.project for package in EXTRAS}


def test_the_commands_fit_the_experiments() -> None:
    names = {path.stem for path in (CONF / "data").glob("*.yaml")}
    assert names >= set(GENERATED) | set(SOURCES)
    for name, source in SOURCES.items():
        data = OmegaConf.to_container(OmegaConf.load(CONF / "data" / f"{name}.yaml"))
        assert isinstance(data, dict) and data["data"]["resolution"] == source.resolution
        assert data["data"]["length"] <= CLIP
    small = OmegaConf.load(CONF / "size" / "small.yaml")
    assert small.evaluate.context + small.evaluate.horizon == CLIP


# The command


@pytest.fixture
def machine(
    tmp_path: Path, checkpoints: Path, socket_disabled: None, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder of all data with a set that is prepared, and no network at all."""
    monkeypatch.delenv(I3D_VARIABLE, raising=False)
    root = tmp_path / "data"
    (root / "video_folder").mkdir(parents=True)
    for number in range(4):
        video = np.full((CLIP, 8, 8), number, np.uint8)
        np.save(root / "video_folder" / f"{number}.npy", video)
    prepare(SOURCES["video_folder"], root, resolution=8, say=lambda line: None)
    person = root / "kth" / "person01_walking_d1_uncomp.avi"
    person.parent.mkdir()
    person.touch()
    return root


def told(machine: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    capsys.readouterr()
    assert main(["--root", str(machine), *options]) == 0
    return capsys.readouterr().out


def test_the_report_ends_with_what_would_work(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = told(machine, capsys)
    works = said[said.index("what would work right now") : said.index("what would not, and why")]
    for command in (
        "+data=moving_digits",
        f"+data=video_folder data.resolution=8 data.root={machine}",
        f"python -m pyrovp.data prepare kth --resolution 64 --root {machine}",
    ):
        assert command in works
    blocked = said[said.index("what would not, and why") :]
    assert "moving_mnist, stochastic_moving_mnist: " in blocked, "one reason, said once"
    assert "bair: no originals" in blocked and "video_folder" not in blocked


def test_the_report_names_everything(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = told(machine, capsys)
    for name in (*GENERATED, *SOURCES, *(package.project for package in (*REQUIRED, *EXTRAS))):
        assert f"\n  {name} " in said
    for name in TRUNKS:
        assert f"LPIPS {name} " in said
    assert "FVD i3d" in said and torch.__version__ in said and "threads of torch" in said
    assert "prepared at 8 px: " in said and "originals: train 1" in said


def test_the_report_for_machines(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = json.loads(told(machine, capsys, "--json"))
    assert set(said) == {
        "pyrovp", "python", "executable", "packages", "extras", "devices", "root", "data",
        "weights", "outlook",
    }  # fmt: skip
    data = {found["name"]: found for found in said["data"]}
    assert sum(data["video_folder"]["prepared"][0]["videos"].values()) == 4
    verdicts = {found["name"]: found["verdict"] for found in said["outlook"]}
    assert verdicts["video_folder"] == "train" and verdicts["kth"] == "prepare"
    assert verdicts["moving_mnist"] == "blocked"
    assert {found["state"] for found in said["weights"]} == {"absent"}


def test_looking_changes_nothing(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def files() -> dict[Path, float]:
        return {path: path.stat().st_mtime_ns for path in machine.parent.rglob("*")}

    before = files()
    told(machine, capsys)
    assert files() == before


def test_absent_extras_are_no_failure(
    machine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in EXTRAS:
        monkeypatch.setitem(sys.modules, package.module, None)
    said = told(machine, capsys)
    assert "not installed; for reading video files: pip install 'pyrovp[data]'" in said
    assert "kth: its .avi files need av: pip install 'pyrovp[data]'" in said
    assert "+data=video_folder" in said, "what is prepared needs no extra"


def test_damaged_weights_are_no_failure(
    machine: Path, checkpoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkpoints / TRUNKS["alex"]).write_bytes(b"half")
    assert "LPIPS alex     damaged: " in told(machine, capsys)


@pytest.mark.parametrize("module", ["torch", "pyro"])
def test_nothing_works_without_torch_and_pyro(
    module: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert main([]) == 1
    assert "not installed; pip install" in capsys.readouterr().out
    assert main(["--json"]) == 1
    found = {p["project"]: p["problem"] for p in json.loads(capsys.readouterr().out)["packages"]}
    assert "not installed" in found.values()


def test_the_commands_that_it_names_exist(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = json.loads(told(machine, capsys, "--json"))
    prepared = [found["command"] for found in said["outlook"] if found["verdict"] == "prepare"]
    for command in prepared:
        python, _, module, *arguments = shlex.split(command)
        assert (python, module) == ("python", "pyrovp.data")
        assert data_command._parser().parse_args(arguments).name == "kth"
