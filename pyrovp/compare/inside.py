"""What a model did on the test clips, beside its scores: KLs, gates, reconstruction.

These are the figures of the studies of levels, speed and randomness: KL of each level (CW-VAE,
Table 2 and Figure 8; DLH, Table 5), employed levels (DLH, Table 2), predicted probability of
change where the level changed and where it stayed (DLH, Table 3).
"""

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["inside"]


def inside(content: Mapping[str, Any]) -> dict[str, float]:
    """In words -> figure; only what is there.

    Args:
        content: Of a `metrics.json`.

    Example:
        >>> inside({"kl_per_sequence": {"z_1": 12.5}, "reconstruction": {"psnr": 22.0}})
        {'context [dB]': 22.0, 'KL z_1 [nats]': 12.5}
    """
    return {name: float(value) for name, value in _all(content) if value is not None}


def _all(content: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    reconstruction = content.get("reconstruction") or {}
    yield "context [dB]", reconstruction.get("psnr")
    whole = content.get("whole_clips")
    if whole:  # nothing is inferred in the context of such a model
        for site, value in whole["kl_per_sequence"].items():
            yield f"KL {site}, whole clips [nats]", value
        for site, value in whole["change_rate"].items():
            yield f"{site} rate, whole clips", value
    else:
        for site, value in (content.get("kl_per_sequence") or {}).items():
            yield f"KL {site} [nats]", value
    for site, rates in (content.get("change_rate") or {}).items():
        yield f"{site} rate, context", rates["context"]
        yield f"{site} rate, predicted", rates["prediction"]
    events = content.get("events") or {}
    yield "employed levels", events.get("mean_levels")
    yield "employed levels, truth", events.get("perfect_mean_levels")
    for site, gate in events.items():
        if site.startswith("e_"):
            yield f"p({site}) where changed", gate["predicted_where_changed"]
            yield f"p({site}) where static", gate["predicted_where_static"]
            yield f"{site} F1", gate["f1"]
