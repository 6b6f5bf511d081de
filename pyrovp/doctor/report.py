"""Everything that the doctor looked at, as one value and as JSON."""

import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pyrovp import __version__
from pyrovp.data.places import data_root
from pyrovp.data.status import Status, all_statuses
from pyrovp.doctor.devices import Devices, look_at_devices
from pyrovp.doctor.outlook import Outlook, outlook
from pyrovp.doctor.packages import EXTRAS, PackageFound, look_up
from pyrovp.doctor.weights import WeightsFound, look_at_i3d, look_at_trunk
from pyrovp.metrics.perceptual import TRUNKS

__all__ = ["Report", "examine"]


@dataclass(frozen=True)
class Report:
    """What was found.

    Args:
        pyrovp: Its version.
        python: Its version.
        executable: The interpreter.
        packages: What pyrovp cannot do without.
        extras: What only some work needs.
        devices: What there is to compute on.
        root: The folder of all data.
        data: How far each data set is.
        weights: Files of pretrained networks.
        outlook: What can be done with each data set.
    """

    pyrovp: str
    python: str
    executable: str
    packages: Sequence[PackageFound]
    extras: Sequence[PackageFound]
    devices: Devices
    root: Path
    data: Sequence[Status]
    weights: Sequence[WeightsFound]
    outlook: Sequence[Outlook]

    def as_json(self) -> str:
        """The same for machines."""
        return json.dumps(asdict(self), indent=2, default=str)


def examine(packages: Sequence[PackageFound], root: Path | None = None) -> Report:
    """Looks at everything.

    Args:
        packages: What became of those that pyrovp cannot do without.
        root: The folder of all data; by default the environment's PYROVP_DATA, or `data`.
    """
    extras = [look_up(extra) for extra in EXTRAS]
    data = all_statuses(root)
    return Report(
        pyrovp=__version__,
        python=platform.python_version(),
        executable=sys.executable,
        packages=packages,
        extras=extras,
        devices=look_at_devices(),
        root=data_root(root).absolute(),
        data=data,
        weights=[*map(look_at_trunk, TRUNKS), look_at_i3d()],
        outlook=[outlook(status, extras, root) for status in data],
    )
