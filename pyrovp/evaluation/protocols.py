"""Which protocol is meant: a paper's, that paper's on other data, or a run's own.

    protocol=dlh              the paper's figures for the run's data set
    protocol=dlh context=12   with a change, which the label and the hash tell
    protocol=own              what the run itself was evaluated with, or changes of it

A paper that has no figures for a data set still says how many samples are drawn, which of them
counts, which SSIM it is and whether frames are clipped; context and horizon have to be given.
"""

from dataclasses import replace
from typing import Any

from pyrovp.checks import nearest
from pyrovp.metrics import NAMED, Protocol, ssim_preset

__all__ = ["METRICS", "OWN", "metrics_of", "resolved_protocol"]

OWN = "own"
"""The name of a run's own protocol."""

METRICS: dict[str, tuple[str, ...]] = {
    "cwvae": ("psnr", "ssim", "sharpness", "lpips", "fvd"),
    "tald": ("psnr", "ssim", "sharpness", "lpips", "fvd"),
    "dlh": ("psnr", "ssim", "sharpness", "lpips"),
    "dlh_36": ("psnr", "ssim", "sharpness", "lpips"),
    "svg": ("psnr", "ssim", "sharpness"),
    "hvrnn": ("psnr", "ssim", "sharpness", "lpips", "fvd"),
    OWN: ("psnr", "ssim", "sharpness"),
}
"""What each paper reports, PSNR, SSIM and sharpness always among it."""


def metrics_of(name: str) -> tuple[str, ...]:
    """The metrics of a protocol that are measured unless others are asked for."""
    return METRICS[name]


def resolved_protocol(
    name: str,
    data: str,
    own: Protocol,
    *,
    context: int | None = None,
    horizon: int | None = None,
    samples: int | None = None,
    ssim: str | None = None,
    clip: bool | None = None,
) -> Protocol:
    """The protocol of that name for a data set, with changes.

    Args:
        name: A paper's (see `pyrovp.metrics.NAMED`), or "own".
        data: Name of the data set.
        own: What the run itself was evaluated with.
        context, horizon, samples, ssim, clip: Changes; None leaves what the protocol says.

    Raises:
        ValueError: If there is no such protocol, or it has no figures for the data set and no
            context and horizon are given.

    Example:
        >>> mine = Protocol("run", 12, 12, 1, ssim_preset("svg"), True)
        >>> resolved_protocol("dlh", "kth", mine, samples=10).name
        'dlh/kth with samples=10'
    """
    if name not in (OWN, *NAMED):
        raise ValueError(f"there is no protocol {name!r}; {nearest(name, (OWN, *NAMED))}")
    given: dict[str, Any] = {
        "context": context, "horizon": horizon, "samples": samples, "clip": clip,
        "ssim": None if ssim is None else ssim_preset(ssim),
    }  # fmt: skip
    given = {key: value for key, value in given.items() if value is not None}
    if name == OWN:
        return replace(own, name=OWN, **given)
    published = NAMED[name]
    if data in published:
        base = published[data]
        changed = [key for key, value in given.items() if getattr(base, key) != value]
        told = ", ".join(f"{key}={getattr(given[key], 'name', given[key])}" for key in changed)
        return replace(base, name=f"{base.name} with {told}" if told else base.name, **given)
    if context is None or horizon is None:
        raise ValueError(
            f"protocol {name} has no figures for {data}, only for {', '.join(published)}: give "
            f"context= and horizon= (the run's own are context={own.context} "
            f"horizon={own.horizon}), or protocol=own"
        )
    # How samples are drawn and scored is the same for all data sets of a paper.
    return replace(next(iter(published.values())), name=f"{name}/{data}", **given)
