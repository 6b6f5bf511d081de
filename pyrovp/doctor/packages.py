"""Which packages can be imported, in which version, and what is missing without the others.

A package counts only when it was imported: one that is installed may still refuse, for example a
torchvision that was built for another torch.
"""

import importlib
import importlib.metadata
from dataclasses import dataclass

__all__ = ["EXTRAS", "REQUIRED", "Package", "PackageFound", "look_up"]


@dataclass(frozen=True)
class Package:
    """A package that something here needs.

    Args:
        project: What pip calls it.
        module: What Python calls it.
        purpose: What it is for.
        install: The command that installs it.
    """

    project: str
    module: str
    purpose: str
    install: str


@dataclass(frozen=True)
class PackageFound:
    """What became of importing a package.

    Args:
        project, purpose, install: See `Package`.
        version: None where it was not imported.
        problem: Why it was not imported; None where it was.
    """

    project: str
    purpose: str
    install: str
    version: str | None
    problem: str | None

    @property
    def there(self) -> bool:
        """Whether it can be used."""
        return self.problem is None


REQUIRED = (
    Package("torch", "torch", "tensors and networks", "pip install torch"),
    Package("pyro-ppl", "pyro", "probabilistic programs", "pip install pyro-ppl"),
    Package("torchvision", "torchvision", "fetching MNIST", "pip install torchvision"),
)
"""What pyrovp cannot do without, or only in part."""

EXTRAS = (
    Package("av", "av", "reading video files", "pip install 'pyrovp[data]'"),
    Package(
        "google-crc32c", "google_crc32c", "checking TFRecord files", "pip install 'pyrovp[data]'"
    ),
    Package(
        "tensorboard", "tensorboard", "train.tensorboard=true", "pip install 'pyrovp[tensorboard]'"
    ),
    Package(
        "safetensors", "safetensors", "python -m pyrovp.export", "pip install 'pyrovp[export]'"
    ),
    Package("optuna", "optuna", "+tune=NAME", "pip install 'pyrovp[cluster]'"),
    Package("submitit", "submitit", "-m hydra/launcher=slurm", "pip install 'pyrovp[cluster]'"),
    Package("scikit-image", "skimage", "the tests only", "pip install 'pyrovp[test]'"),
)
"""What only some work needs."""


def look_up(package: Package) -> PackageFound:
    """Imports a package to see whether it can be."""
    version, problem = None, None
    try:
        module = importlib.import_module(package.module)
        version = _version(package, module)
    except ModuleNotFoundError as error:
        missing = error.name or package.module
        problem = "not installed" if missing == package.module else f"needs {missing}"
    except Exception as error:  # libraries that do not fit together fail in many ways
        said = str(error).strip().partition("\n")[0]
        problem = f"is installed and cannot be imported: {type(error).__name__}: {said}"
    return PackageFound(package.project, package.purpose, package.install, version, problem)


def _version(package: Package, module: object) -> str:
    """The module's own word where it has one: it names the build too, as in 2.11.0+cu128."""
    own = getattr(module, "__version__", None)
    if own is not None:
        return str(own)
    try:
        return importlib.metadata.version(package.project)
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"
