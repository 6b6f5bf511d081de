"""Hydra's complaints in a sentence that names the key, what it may be, and the nearest one.

Hydra says where a configuration cannot be composed in terms of its own classes. Here its error is
held against what the chosen groups do compose to: a misspelt key has a neighbour there, a key that
a class takes but no file sets has its constructor, and a file that cannot be read has a line.
"""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from pyrovp.checks import nearest
from pyrovp.commands.choices import own_folders
from pyrovp.errors import RunError
from pyrovp.runs.fits import annotations, needed

__all__ = ["check_fields", "check_given", "explained", "plain"]


def explained(
    error: Exception, arguments: Sequence[str], conf: Path, config: str, groups: Sequence[str]
) -> str:
    """An error in a sentence.

    Args:
        error: Hydra's, OmegaConf's or the YAML reader's.
        arguments: Of the command.
        conf: The project's folder of configurations.
        config: Name of the command's configuration in it.
        groups: Groups that are chosen by name.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, RunError):  # of a part that Hydra made for us
            return str(cause)
        if isinstance(cause, yaml.MarkedYAMLError) and cause.problem_mark is not None:
            mark = cause.problem_mark
            place = f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}"
            return f"{place}: {cause.problem or 'this is no YAML'}"
    text = "\n".join(map(str, causes))
    found = re.search(r"Could not override '([^']+)'|full_key: (\S+)", text)
    key = str(found[1] or found[2]) if found else ""
    wrong = re.search(r"Value '(.*)' of type '\w+' could not be converted to (\w+)", text)
    if wrong and key:
        value, kind = map(str, wrong.groups())
        return f"{key}={value}: a value of type {kind} is needed"
    if isinstance(error.__cause__, ValidationError) and error.__cause__.value is None:
        return f"{key}=null: {_needed(error.__cause__)}; leave it out for its default"
    if key and re.search(r"not in ('|struct)", text):
        return _unknown(key, _composed(arguments, conf, config, groups))
    if index := re.search(r"Error merging override (\S+?)\.(\d+)(?=[.=])", text):
        parts = OmegaConf.select(_composed(arguments, conf, config, groups), index[1])
        if parts is not None and len(parts) <= int(index[2]):
            return (
                f"there is no {index[1]}[{index[2]}]: {index[1]} has {len(parts)} parts, "
                f"[0] to [{len(parts) - 1}]"
            )
    if "hydra/launcher/submitit" in text:
        return (
            "this launcher needs the package hydra-submitit-launcher, which is not installed; "
            "run: pip install 'pyrovp[cluster]'"
        )
    return plain(error)


def plain(error: Exception) -> str:
    """What OmegaConf says of a value, without its own classes.

    Args:
        error: Its own.
    """
    text = str(error)
    key = re.search(r"full_key: (\S+)", text)
    if lost := re.search(r"Interpolation key '([^']+)' not found", text):
        at = f"{key[1]}: " if key else ""
        return f"{at}there is no setting {lost[1]} to take the value from, as ${{{lost[1]}}} asks"
    return text.strip()


def check_fields(config: DictConfig, settings: type) -> None:
    """Refuses keys that a class of settings does not have, which `+key=value` would add unseen.

    Args:
        config: A composed configuration.
        settings: Its class; of its fields those are looked into that are such classes themselves.

    Raises:
        RunError: With the nearest key.
    """
    for field in fields(settings):
        kind: Any = field.type
        if not (isinstance(kind, type) and is_dataclass(kind)):
            continue
        known = [part.name for part in fields(kind)]
        for key in config[field.name]:
            if key not in known:
                raise RunError(
                    f"there is no setting {field.name}.{key}; {nearest(str(key), known)}"
                )


def check_given(config: DictConfig, name: str) -> None:
    """Refuses a configuration without model or guide.

    Args:
        config: A composed configuration.
        name: Of the file that should give both.

    Raises:
        RunError: For that.
    """
    for part in ("model", "guide"):
        if OmegaConf.is_missing(config, part):
            raise RunError(
                f"the configuration has no {part}: does the file model/{name}.yaml begin with the "
                f"line `# @package _global_`, and has it a `{part}:`? A guide is, for example, "
                "guide: {_target_: pyrovp.Filtering}"
            )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and what led to it."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _unknown(key: str, composed: DictConfig) -> str:
    """What to say of a key that is not there."""
    known = list(_flat(composed))
    section, _, name = key.rpartition(".")
    inside = [k for k in known if k.rpartition(".")[0] == section]
    if section in known and not inside:
        return f"there is no setting {key}: {section} is one value here; give all of it"
    holder = OmegaConf.select(composed, section) if section else None
    target = holder.get("_target_") if isinstance(holder, Mapping) else None
    if target is not None and name in _takes(str(target)):
        return f"{key} is not set in any file yet: write +{key}=..."
    if inside and section:
        return f"there is no setting {key}; {nearest(key, inside)}"
    # Only the guess: all keys would fill the screen.
    return f"there is no setting {key}; {_guess(key, known)}--cfg job prints them all"


def _guess(key: str, known: Sequence[str]) -> str:
    """The key that was meant: one of the same last part, or one that is spelled alike."""
    name = key.rpartition(".")[2]
    same = [k for k in known if k.rpartition(".")[2] == name]
    if len(same) == 1:
        return f"did you mean {same[0]}? "
    return nearest(key, known).partition("known:")[0]


def _takes(target: str) -> set[str]:
    """What a class or function can be given; nothing where there is none of that name."""
    try:
        return set(inspect.signature(get_object(target)).parameters)
    except (ValueError, TypeError, ImportError, AttributeError):
        return set()


def _needed(error: ValidationError) -> str:
    """What a key of one of our classes of settings has to be."""
    known = annotations(error.object_type) if isinstance(error.object_type, type) else {}
    return f"{needed(known[error.key])} is needed" if error.key in known else "a value is needed"


def _composed(
    arguments: Sequence[str], conf: Path, config: str, groups: Sequence[str]
) -> DictConfig:
    """What the chosen groups make, without settings on the command line.

    Where one of them is a file of the user's that cannot be composed, what the defaults make.
    """
    overrides = [a for a in arguments if a.split("=")[0] in groups and "," not in a]
    # Quoted: the path is a string of Hydra's grammar.
    own = [f'"file://{folder.resolve()}"' for folder in own_folders(arguments, conf)[1:]]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3"):
        try:
            return compose(config, [*overrides, f"hydra.searchpath=[{','.join(own)}]"])
        except (HydraException, OmegaConfBaseException):
            return compose(config)


def _flat(config: DictConfig) -> Iterator[str]:
    """Its dotted keys."""
    return _flatten(OmegaConf.to_container(config), "")


def _flatten(node: Any, prefix: str) -> Iterator[str]:
    pairs = node.items() if isinstance(node, dict) else ()
    for name, inside in enumerate(node) if isinstance(node, list) else pairs:
        yield f"{prefix}{name}"
        yield from _flatten(inside, f"{prefix}{name}.")
