"""What every test gets: its own seed, and no network beyond this machine."""

import random

import numpy as np
import pytest
import torch
from pytest_socket import socket_allow_hosts

__all__ = ["seed"]


def pytest_runtest_setup() -> None:
    """Tests must pass offline: only loopback is open (workers and process groups use it)."""
    # On tensors this small a second thread only waits; under load it costs several times the work.
    torch.set_num_threads(1)
    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture(autouse=True)
def seed() -> int:
    """The seed that every generator starts a test with."""
    value = 20260101
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)
    return value
