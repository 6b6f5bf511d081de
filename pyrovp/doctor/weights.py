"""Weights of pretrained networks: which files are there, and whether they are whole.

Two metrics are measured with networks that others have trained:

    LPIPS   a trunk of torchvision's, whose file name carries the first digits of its sha256
    FVD     an I3D network (Kinetics-400) in a file of the user's

Both are looked for and checked as the metrics do it (`pyrovp.metrics`); nothing is fetched.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pyrovp.metrics.fvd import I3D_VARIABLE, make_fvd
from pyrovp.metrics.perceptual import TRUNKS
from pyrovp.metrics.pretrained import Absent, find_weights, sha256

__all__ = ["WeightsFound", "look_at_i3d", "look_at_trunk"]


@dataclass(frozen=True)
class WeightsFound:
    """One file of weights.

    Args:
        name: Of the network.
        metric: What it is for.
        state: "damaged" where it is not what was published.
        note: Where a whole file is, or what was found, and what to do.
    """

    name: str
    metric: str
    state: Literal["whole", "damaged", "absent"]
    note: str


def look_at_trunk(name: str) -> WeightsFound:
    """Looks for a trunk of LPIPS's where torchvision keeps its weights.

    Args:
        name: A key of `pyrovp.metrics.perceptual.TRUNKS`.
    """
    file = TRUNKS[name]
    expected = Path(file).stem.rpartition("-")[2]
    path = find_weights(file, expected)
    if isinstance(path, Absent):
        return WeightsFound(name, "LPIPS", "absent", path.reason)
    try:
        found = sha256(path)
    except OSError as error:
        return WeightsFound(name, "LPIPS", "damaged", f"{path} cannot be read: {error.strerror}")
    if not found.startswith(expected):
        note = f"{path} has a sha256 that begins with {found[:8]}, not {expected}; fetch it again"
        return WeightsFound(name, "LPIPS", "damaged", note)
    return WeightsFound(name, "LPIPS", "whole", str(path))


def look_at_i3d() -> WeightsFound:
    """Loads the file that the environment variable `PYROVP_I3D` names."""
    try:
        found = make_fvd()
    except (ValueError, OSError) as error:
        return WeightsFound("i3d", "FVD", "damaged", str(error))
    if isinstance(found, Absent):
        note = (
            f"{found.reason}. It must be a state dict of Inception-I3D for Kinetics-400 RGB with "
            f"the names of that repository, and {I3D_VARIABLE} its path"
        )
        return WeightsFound("i3d", "FVD", "absent", note)
    return WeightsFound("i3d", "FVD", "whole", f"{I3D_VARIABLE}, sha256 {found.sha256}")
