"""What a run found, in words: the lines below its table."""

from typing import Any

__all__ = ["channel_sentences", "clip_sentences", "event_sentences"]


def clip_sentences(found: dict[str, Any]) -> list[str]:
    """KLs and rates that were inferred from whole clips.

    Args:
        found: `kl_per_sequence` and `change_rate`, each by site; empty where there is nothing.
    """
    if not found:
        return []
    kls = ", ".join(f"{name} {value:.4g}" for name, value in found["kl_per_sequence"].items())
    lines = [f"inferred from whole clips: KL, nats per sequence: {kls}"]
    for name, rate in found["change_rate"].items():
        lines.append(
            f"inferred from whole clips: level {name.removeprefix('e_')} changes at {rate:.3f} of "
            "the modelled frames"
        )
    return lines


def event_sentences(events: dict[str, Any]) -> list[str]:
    """How a gate's changes meet the true ones.

    Args:
        events: `events`, what `pyrovp.analysis.report` returned; empty where there is nothing.
    """
    if not events:
        return []
    found = events["events"]
    lines = [
        f"mean employed levels {found['mean_levels']:.3f} (a perfect two-level detector: "
        f"{found['perfect_mean_levels']:.3f})"
    ]
    for name, gate in found.items():
        if name.startswith("e_"):
            lines.append(
                f"{name} against the true changes: F1 {_figure(gate['f1'])} (by chance "
                f"{_figure(gate['chance_f1'])}) at rate {gate['rate']:.3f} (true "
                f"{found['true_change_rate']:.3f}); p(change) "
                f"{_figure(gate['predicted_where_changed'])} where it changed, "
                f"{_figure(gate['predicted_where_static'])} where it stayed"
            )
    return lines


def channel_sentences(report: dict[str, Any]) -> list[str]:
    """How many channels of each level are in use.

    Args:
        report: What `pyrovp.analysis.channel_report` returned.
    """
    found = ", ".join(
        f"{name} {level['active']} of {level['channels']}"
        for name, level in report.items()
        if name.startswith("z_")
    )
    return [f"active channels (above {report['active_above']} nats a frame): {found}"]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
