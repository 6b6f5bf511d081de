"""Handmade digits in the place of MNIST."""

from functools import partial
from pathlib import Path

import pytest

from pyrovp.data import MNIST, moving_mnist, stochastic_moving_mnist
from tests.data.handmade import COUNTS, write_mnist

__all__ = ["mnist", "mnist_root"]


@pytest.fixture(scope="session")
def mnist_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all data with handmade files; not to be written to."""
    root = tmp_path_factory.mktemp("root")
    write_mnist(root)
    return root


@pytest.fixture
def mnist(mnist_root: Path, monkeypatch: pytest.MonkeyPatch) -> MNIST:
    """The handmade digits, which the data sets made of MNIST find and take."""
    monkeypatch.setenv("PYROVP_DATA", str(mnist_root))
    for module in (moving_mnist, stochastic_moving_mnist):
        monkeypatch.setattr(module, "MNIST", partial(MNIST, counts=COUNTS))
    return MNIST(mnist_root, COUNTS)
