"""How runs are told apart: by the settings in which they differ.

    cwvae factor=2        cwvae factor=4

Only what decides what is learned counts, so neither the seed nor the length of training nor the
evaluation. Settings of the data that decide the test clips do not tell runs apart: they make
another data set.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from pyrovp.runs.run_directory import BUDGET, LATER

__all__ = ["Settings", "differing", "flat", "learned", "named", "of_clips"]

Settings = Mapping[str, Any]
"""By dotted key."""

# How training material is cut, and where it lies.
_TRAINING = frozenset({"data.length", "data.root", "data.cut"})
_MOST = 4  # so many settings fit into a name


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested configuration by dotted keys.

    Example:
        >>> flat({"model": {"levels": 2, "hidden": [40, 40]}, "seed": 1})
        {'model.levels': 2, 'model.hidden': [40, 40], 'seed': 1}
    """
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def learned(settings: Settings) -> dict[str, Any]:
    """The settings that decide what is learned.

    Example:
        >>> learned({"model.levels": 2, "train.steps": 600, "evaluate.context": 12, "seed": 1})
        {'model.levels': 2}
    """
    return {
        key: value
        for key, value in settings.items()
        if not {key, key.partition(".")[0]} & BUDGET and not (key in LATER and value == LATER[key])
    }


def of_clips(settings: Settings) -> dict[str, Any]:
    """The settings of the data that decide the test clips, as far as they are settings."""
    return {k: v for k, v in settings.items() if k.startswith("data.") and k not in _TRAINING}


def differing(several: Sequence[Settings]) -> list[str]:
    """The keys in which settings differ; where these are many, enough to tell all apart.

    Args:
        several: Each key may be missing in some.

    Example:
        >>> differing([{"model.factor": 2, "a": 1}, {"model.factor": 4, "a": 1}])
        ['model.factor']
    """
    keys = list(dict.fromkeys(key for settings in several for key in settings))
    found = [k for k in keys if len({_hashable(settings.get(k)) for settings in several}) > 1]
    if len(found) <= _MOST:
        return found
    found.sort(key=lambda key: not key.startswith("model."))  # these say most
    kept: list[str] = []
    for key in found:
        if len(_kinds(several, [*kept, key])) > len(_kinds(several, kept)):
            kept.append(key)
    return kept


def named(name: str, settings: Settings, keys: Sequence[str]) -> str:
    """A name with some settings, those that are there.

    Example:
        >>> named("hvrnn", {"model.latents": [1, 8], "objective.beta.start": 0.0},
        ...       ["model.latents", "objective.beta.start", "model.factor"])
        'hvrnn latents=[1,8] objective.beta.start=0'
    """
    texts = [f"{_short(key)}={_text(settings[key])}" for key in keys if key in settings]
    return " ".join([name, *texts])


def _kinds(several: Sequence[Settings], keys: Sequence[str]) -> set[tuple[Hashable, ...]]:
    return {tuple(_hashable(settings.get(key)) for key in keys) for settings in several}


def _hashable(value: Any) -> Hashable:
    return repr(value)


def _short(key: str) -> str:
    section, _, rest = key.partition(".")
    key = rest if section in ("model", "data") and rest else key
    return key.removesuffix("._target_")


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).removeprefix("pyrovp.")
