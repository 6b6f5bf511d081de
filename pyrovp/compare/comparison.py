"""A comparison of runs: read, put side by side, write, and say what was found.

runs -> comparison/
    comparison.md     tables, mean ranks, and what is apart or left out, with the reason
    comparison.csv    the same as data
    *.png             scores of each table; ranks.png
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pyrovp.checks import nearest
from pyrovp.compare.duplicates import one_each
from pyrovp.compare.figures import Figures, LeftOut, read_run
from pyrovp.compare.markdown import left_out_markdown, ranks_markdown, section_markdown
from pyrovp.compare.pictures import ranks_png, scores_png
from pyrovp.compare.ranks import Ranks, mean_ranks
from pyrovp.compare.sections import Section, beside, sections_of
from pyrovp.compare.spreadsheet import spreadsheet
from pyrovp.compare.tables import tables_of
from pyrovp.errors import RunError
from pyrovp.files import atomic_write

__all__ = ["Comparison", "ComparisonSettings"]


@dataclass
class ComparisonSettings:
    """What is compared.

    Args:
        runs: Folders of runs.
        out: The folder that the comparison is written to.
        protocol: Only figures under this one, by name or hash; None: under all.
    """

    runs: list[str] = field(default_factory=list)
    out: str = "comparison"
    protocol: str | None = None


class Comparison:
    """Runs side by side.

    Args:
        settings: Which, and where to write.

    Attributes:
        sections: The data sets, each with its tables.
        ranks: Mean ranks; None where there is nothing to rank.
        left_out: What is not compared, and why.

    Raises:
        RunError: If there is not one figure, or none under the protocol that is asked for.
    """

    sections: list[Section]
    ranks: Ranks | None
    left_out: list[LeftOut]

    def __init__(self, settings: ComparisonSettings) -> None:
        self.out = Path(settings.out)
        self.left_out = []
        figures: list[Figures] = []
        for run in settings.runs:
            found, missing = read_run(Path(run))
            figures += found
            self.left_out += missing
        if not figures:
            reasons = "".join(f"\n  {one.what}: {one.reason}" for one in self.left_out)
            raise RunError(f"there are no figures to compare{reasons}")
        chosen = self._chosen(figures, settings.protocol)
        self.figures, contradicting = one_each(chosen)
        self.left_out += contradicting
        self.sections = sections_of(tables_of(self.figures))
        self.ranks = mean_ranks(self.sections)

    def run(self, say: Callable[[str], None] = print) -> list[Path]:
        """Writes everything, and says the tables.

        Args:
            say: Told what was found, in lines.

        Returns:
            The files, `comparison.md` last.

        Raises:
            RunError: If the folder cannot be written.
        """
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            drawn = [self._draw(section) for section in self.sections]
            files = [self.out / name for pictures in drawn for name in pictures.values()]
            ranks = None
            if self.ranks is not None and self.ranks.means:
                ranks = "ranks.png"
                ranks_png(self.out / ranks, self.ranks.means, len(self.ranks.columns))
                files.append(self.out / ranks)
            files.append(self._write("comparison.csv", spreadsheet(self.sections)))
            text = self._text(drawn, ranks)
            files.append(self._write("comparison.md", text))
        except OSError as error:
            raise RunError(
                f"cannot write to {self.out} ({error.strerror}); choose another folder, for "
                f"example out=/tmp/comparison"
            ) from None
        say(self._text([{} for _ in drawn], None))
        say("\n".join(["files:", *(f"  {file}" for file in files)]))
        return files

    def _chosen(self, figures: Sequence[Figures], protocol: str | None) -> list[Figures]:
        """Those under the protocol that is asked for; the others are left out."""
        if protocol is None:
            return list(figures)
        chosen = [one for one in figures if protocol in _protocols(one)]
        if not chosen:
            known = {name for one in figures for name in _protocols(one)}
            raise RunError(
                f"no figure was made under protocol {protocol!r}; {nearest(protocol, known)}"
            )
        for one in figures:
            if one not in chosen:
                name, key = _protocols(one)
                what = f"{one.run} under protocol {name} ({key})"
                self.left_out.append(LeftOut(what, f"only protocol={protocol} was asked for"))
        return chosen

    def _draw(self, section: Section) -> dict[int, str]:
        """The pictures of a data set: by the number of the table, their names."""
        names = {}
        for number, table in enumerate(section.tables):
            title = re.sub(r"[^\w.=-]+", "_", section.title).strip("_")
            name = f"{title}-{table.protocol['hash']}-{table.clips}.png"
            same = [one for one in beside(table, section.published) if not one.differs]
            scores_png(self.out / name, section.title, table, same)
            names[number] = name
        return names

    def _text(self, pictures: Sequence[dict[int, str]], ranks: str | None) -> str:
        runs = len({one.run for one in self.figures})
        parts = [
            "# Comparison",
            f"{runs} run{'s' * (runs > 1)}. A model's figure is the mean over its seeds ± their "
            "standard deviation, a baseline's the mean over all runs of the table; the best model "
            "of each column is bold. Published figures say so, and are never ranked with ours.",
        ]
        parts += [
            section_markdown(section, drawn)
            for section, drawn in zip(self.sections, pictures, strict=True)
        ]
        parts.append(ranks_markdown(self.ranks, ranks))
        if self.left_out:
            parts.append(left_out_markdown(self.left_out))
        return "\n\n".join(parts) + "\n"

    def _write(self, name: str, text: str) -> Path:
        path = self.out / name
        with atomic_write(path) as temporary:
            temporary.write_text(text)
        return path


def _protocols(one: Figures) -> tuple[str, str]:
    return str(one.protocol["name"]), str(one.protocol["hash"])
