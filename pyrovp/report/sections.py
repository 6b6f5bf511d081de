"""The parts of the page, each from what a folder holds; a part with nothing to show is None.

What a file of ours should hold may be missing all the same, in a run that is under way or of an
older version: the part then says so, and the page goes on.
"""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pyrovp.draw import training_png
from pyrovp.environment import environment
from pyrovp.report.answers import analysis, evaluation, guarded, rest, scores
from pyrovp.report.contents import Contents
from pyrovp.report.html import Html, join, tag
from pyrovp.report.pictures import caption, figure
from pyrovp.report.tables import Cell, facts_table, pairs, table
from pyrovp.report.values import shown, spoken, with_error
from pyrovp.words import counted

__all__ = ["headline", "sections"]


def sections(contents: Contents) -> dict[str, Html]:
    """The parts of the page by title, in order."""
    parts = {
        "Predictions": _pictures(contents, "predictions.gif", "predictions.png"),
        "Scores": _scores(contents),
        "Levels": _levels(contents),
        "Training": _training(contents),
        "Evaluations": _listed(map(evaluation, contents.evaluations)),
        "Analyses": _listed(analysis(part, contents) for part in contents.analyses),
        "Configuration": tag("pre", tag("code", contents.config), tabindex=0),
        "Environment": _environment(contents),
    }
    return {title: part for title, part in parts.items() if part}


def _pictures(contents: Contents, *names: str) -> Html:
    paths = [contents.path / name for name in names]
    return join(*(figure(path, caption(path)) for path in paths if path.exists()))


def _listed(parts: Iterator[Html]) -> Html:
    return join(*parts)


def _scores(contents: Contents) -> Html:
    return join(scores(contents.run), _pictures(contents, "curves.png"))


def _levels(contents: Contents) -> Html:
    """What each level does, of the run's own evaluation."""
    facts = contents.run.facts
    listed = None
    if "kl_per_sequence" in facts:
        listed = guarded("levels", lambda: _level_table(facts))
    pictures = _pictures(contents, "levels.png", "channels.png")
    return join(listed, pictures, facts_table(rest(facts)))


def _level_table(facts: Mapping[str, Any]) -> Html | None:
    kls, channels = facts["kl_per_sequence"], facts.get("channels", {})
    changes = facts.get("change_rate", {})
    rows = []
    for name, kl in sorted(kls.items(), reverse=True):
        level = name.removeprefix("z_")
        found, gate = channels.get(name, {}), changes.get(f"e_{level}", {})
        figures = [
            kl, found.get("active"), found.get("channels"), gate.get("context"),
            gate.get("prediction"),
        ]  # fmt: skip
        rows.append([Cell(level), *(Cell(shown(figure), figure) for figure in figures)])
    columns = [
        "level", "KL in the context [nats per sequence]", "active channels", "channels",
        "changes per frame, context", "changes per frame, predicted",
    ]  # fmt: skip
    return table("Levels, the slowest first", columns, rows) if rows else None


def _training(contents: Contents) -> Html:
    rows = [row for row in contents.log if isinstance(row.get("step"), (int, float))]
    last = {key: row[key] for row in rows for key in ("loss", "validation") if key in row}
    facts = {
        "steps": shown(rows[-1]["step"]) if rows else None,
        "time": spoken(_seconds(rows)) if rows else None,
        "loss, last": shown(last.get("loss")) if "loss" in last else None,
        "validation, last": shown(last.get("validation")) if "validation" in last else None,
        "state": "finished" if contents.done else "not finished",
    }
    listed = {key: value for key, value in facts.items() if value is not None}
    drawn: Html | None = _pictures(contents, "training.png")
    if not drawn and rows:
        drawn = _drawn(rows)
    return join(pairs(listed), drawn)


def _seconds(rows: list[dict[str, Any]]) -> float:
    """Of the training; a continued run counts on."""
    return max(
        (row["seconds"] for row in rows if isinstance(row.get("seconds"), float)), default=0
    )


def _drawn(rows: list[dict[str, Any]]) -> Html | None:
    """Training as far as it is: a run draws it only at its end."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "training.png"
        try:
            training_png(path, rows)
        except ValueError:
            return None
        return figure(path, caption(path))


def _environment(contents: Contents) -> Html:
    """Of the figures where they say so, and of this page."""
    made = [contents.run, *contents.evaluations, *contents.analyses]
    known: dict[str, Mapping[str, Any]] = {}
    for part in made:
        found = part.facts.get("environment")
        if isinstance(found, Mapping) and found not in known.values():
            known[part.name] = found
    known["this page"] = environment()
    parts = [
        join(tag("h3", name), pairs({k: shown(v) for k, v in of.items() if v is not None}))
        for name, of in known.items()
    ]
    return join(*parts)


def headline(contents: Contents) -> Html | None:
    """The facts at the top of the page."""
    facts = contents.run.facts
    return guarded("headline", lambda: pairs(_headline(facts))) if facts else None


def _headline(facts: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    if "step" in facts:
        found["trained for"] = counted(shown(facts["step"]), "step")
    if "parameters" in facts:
        found["parameters"] = shown(facts["parameters"])
    model = facts.get("rows", {}).get("model", {})
    for metric, name, digits, unit in (("psnr", "PSNR", 2, " dB"), ("ssim", "SSIM", 3, "")):
        if metric in model:
            score = model[metric]
            found[name] = with_error(score["mean"], score["standard_error"], digits) + unit
    return found
