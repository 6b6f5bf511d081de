"""From the names of metrics to what measures them, or why that is not possible here."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyrovp.checks import nearest
from pyrovp.data import KeyedVideos
from pyrovp.evaluation.clips import ClipMeasure, FrechetDistance
from pyrovp.evaluation.measures import LPIPS, PSNR, SSIM, FrameMeasure, Sharpness
from pyrovp.evaluation.true_states import TrueStates
from pyrovp.metrics import Absent, Protocol, make_fvd, make_lpips
from pyrovp.metrics.i3d import FEWEST
from pyrovp.metrics.perceptual import SMALLEST, Trunk
from pyrovp.metrics.states import make_state_scores

__all__ = ["FVD_CONTEXT", "Chosen", "Weights", "choose"]

FVD_CONTEXT = frozenset({"hvrnn"})
"""Papers whose FVD is of clips with their given frames."""

_FRAMES = ("psnr", "ssim", "sharpness", "lpips")
_CLIPS = ("fvd", "states")


@dataclass(frozen=True)
class Weights:
    """Networks of metrics, and where their weights are.

    Args:
        net: The trunk of LPIPS.
        lpips, i3d: Files of weights; None: see `pyrovp.metrics.make_lpips` and `make_fvd`.
        fvd_context: Whether FVD is of clips with their given frames.
    """

    net: Trunk = "alex"
    lpips: str | None = None
    i3d: str | None = None
    fvd_context: bool = False


@dataclass(frozen=True)
class Chosen:
    """What is measured, and what is not.

    Args:
        frames: Of every frame; at least one.
        clips: Of whole clips.
        absent: Why a metric that was asked for cannot be measured.
    """

    frames: tuple[FrameMeasure, ...]
    clips: tuple[ClipMeasure, ...]
    absent: dict[str, Absent]

    def identities(self) -> list[str]:
        """What decides the scores beside the protocol."""
        return [m.identity() for m in self.frames] + [m.identity() for m in self.clips]


def choose(
    wanted: Sequence[str | FrameMeasure | ClipMeasure],
    protocol: Protocol,
    dataset: KeyedVideos,
    weights: Weights,
) -> Chosen:
    """The measures of these names.

    Args:
        wanted: Of "psnr", "ssim", "sharpness", "lpips", "fvd" and "states", and measures of one's
            own.
        protocol: How predictions are made and scored.
        dataset: The videos that are predicted.
        weights: For metrics that need some.

    Raises:
        ValueError: If a name is unknown or given to two, something is no measure, or none is left
            that is measured of single frames; and for a file of weights that is there but another
            one.
    """
    known = (*_FRAMES, *_CLIPS)
    found: dict[str, FrameMeasure | ClipMeasure | Absent] = {}
    for one in dict.fromkeys(wanted):
        name = one if isinstance(one, str) else _name(one)
        if name in found:
            raise ValueError(f"two metrics are called {name!r}; give yours another `name`")
        if not isinstance(one, str):
            found[name] = one
        elif name not in known:
            raise ValueError(f"there is no metric {name!r}; {nearest(name, known)}")
        elif name == "lpips":
            found[name] = _lpips(dataset.resolution, weights)
        elif name == "fvd":
            found[name] = _fvd(protocol, weights)
        elif name == "states":
            found[name] = _states(dataset)
        else:
            found[name] = {"psnr": PSNR(), "ssim": SSIM(protocol), "sharpness": Sharpness()}[name]
    absent = {name: one for name, one in found.items() if isinstance(one, Absent)}
    frames = tuple(one for one in found.values() if isinstance(one, FrameMeasure))
    if not frames:
        reasons = "".join(f"; {name} is {one}" for name, one in absent.items())
        raise ValueError(
            f"metrics=[{','.join(found)}] leaves nothing to measure of single frames: give one "
            f"of psnr, ssim and sharpness{reasons}"
        )
    clips = tuple(one for one in found.values() if isinstance(one, ClipMeasure))
    return Chosen(frames, clips, absent)


def _name(measure: object) -> str:
    """What a measure of one's own is called."""
    if not isinstance(measure, FrameMeasure | ClipMeasure):
        raise ValueError(
            f"a metric is a name, or a measure of one's own: a subclass of "
            f"pyrovp.evaluation.FrameMeasure or ClipMeasure; got {measure!r}"
        )
    name = getattr(measure, "name", None)
    if not isinstance(name, str):
        raise ValueError(
            f"{type(measure).__name__} has no name, its key in tables and files: "
            f'write name = "..." in the class'
        )
    return name


def _lpips(resolution: int, weights: Weights) -> LPIPS | Absent:
    if resolution < SMALLEST:
        return Absent(f"LPIPS needs frames of at least {SMALLEST} px, these have {resolution}")
    network = make_lpips(weights.net, weights.lpips)
    return network if isinstance(network, Absent) else LPIPS(network)


def _fvd(protocol: Protocol, weights: Weights) -> FrechetDistance | Absent:
    frames = protocol.horizon + (protocol.context if weights.fvd_context else 0)
    if frames < FEWEST:
        return Absent(f"I3D needs clips of at least {FEWEST} frames, these have {frames}")
    fvd = make_fvd(weights.i3d)
    return fvd if isinstance(fvd, Absent) else FrechetDistance(fvd, context=weights.fvd_context)


def _states(dataset: KeyedVideos) -> TrueStates | Absent:
    scores = make_state_scores(dataset)
    return scores if isinstance(scores, Absent) else TrueStates(scores)
