"""Makes the report of an experiment and everything beside it."""

import hashlib
import json
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsuite.errors import ConfigError
from segsuite.experiment import Experiment
from segsuite.io import atomic
from segsuite.io.store import read_json
from segsuite.report.answers import find_answers
from segsuite.report.export import report_json, results_csv, table_md, table_tex
from segsuite.report.gather import gather
from segsuite.report.page import render
from segsuite.report.sections import build_sections
from segsuite.report.sections.base import Material, Section
from segsuite.report.style import arm_styles, template

REPORT = "report.html"
BESIDE = ("results.csv", "report.json", "table.tex", "table.md")
FILES = ".report-files.json"
"""Lists the files of a report, so that no other file is replaced or removed."""
FIGURE = re.compile(r"figures/[^/]+\.(json|png|svg|pdf)")


@dataclass(frozen=True, eq=False)
class Report:
    """A report before it is written: what it is about, and its sections."""

    material: Material
    sections: tuple[Section, ...]

    def answer(self) -> str:
        """The answer in one sentence."""
        return self.material.answers.sentence

    def plotly_figures(self) -> list[tuple[str, dict[str, Any]]]:
        """Name and plotly figure, as a dict with the light template, of every figure."""
        return [
            (figure.name, {"data": list(figure.data), "layout": {**figure.layout, "template": template()}})
            for section in self.sections
            for figure in section.figures
        ]

    def page(self, version: str = "") -> str:
        """The page as one HTML text."""
        return render(self.material, self.sections, version)


def build_report(experiment: Experiment, with_images: bool = True) -> Report:
    """Reads the run directories and computes everything; writes nothing."""
    gathered = gather(experiment)
    material = Material(gathered, find_answers(gathered), arm_styles(gathered), with_images)
    return Report(material, tuple(build_sections(material)))


def folder_of(experiment: Experiment, out: Path | None = None) -> Path:
    """Where the report goes: report/ in the experiment's folder, or beside it where that holds a report of other
    settings, which stays; or `out`. Raises ConfigError when `out` holds a report of other settings.
    """
    usual = experiment.folder / "report"
    if not replaces(experiment, usual if out is None else out):
        if out is not None:
            raise ConfigError(
                "a report of other settings is there: it has finished trials that this one has not",
                str(out / REPORT),
                "give another --out, or remove it",
            )
        return usual.with_name(f"{usual.name}-{_digest(experiment)}")
    return usual if out is None else out


def replaces(experiment: Experiment, folder: Path) -> bool:
    """Whether a report of `experiment` has all the results of the one in `folder`, if there is one."""
    found = read_json(folder / "report.json") or {}
    try:
        finished = {trial["id"] for trial in found["trials"] if "scores" in trial}
    except (LookupError, TypeError):
        return True  # none, or none that can be read
    return finished <= {trial.id for trial in experiment.trials}


def _digest(experiment: Experiment) -> str:
    """Six hex digits of the experiment's trials."""
    return hashlib.sha256("".join(sorted(trial.id for trial in experiment.trials)).encode()).hexdigest()[:6]


def write_report(report: Report, folder: Path) -> Path:
    """Writes report.html, results.csv, report.json, table.tex, table.md and figures/*.json; returns the page's path.

    The page comes last: who sees a new page finds the files beside it new as well. Only files of a report are replaced
    or removed. Raises ConfigError where another file is in the way.
    """
    material, sections = report.material, report.sections
    figures = {_figure_file(name): figure for name, figure in report.plotly_figures()}
    written = {*BESIDE, REPORT, *figures}
    own = own_files(folder, written)
    atomic.write_json(folder / "report.json", report_json(material, sections))
    for name, figure in figures.items():
        atomic.write_json(folder / name, figure)
    drawn = {name for name in own if name.startswith("figures/") and f"{name.rpartition('.')[0]}.json" in figures}
    for name in own - written - drawn:
        atomic.remove(folder / name)
    atomic.write_text(folder / "results.csv", results_csv(material.gathered))
    atomic.write_text(folder / "table.tex", table_tex(material))
    atomic.write_text(folder / "table.md", table_md(material))
    page = folder / REPORT
    atomic.write_text(page, report.page())
    atomic.write_json(folder / FILES, sorted(written | drawn))
    return page


def own_files(folder: Path, names: Collection[str]) -> set[str]:
    """Makes the report's `folder`, and notes there that the files `names` are a report's from now on; those that were
    one's before, whether they still exist or not. Raises ConfigError where a file of that name is not of a report, or
    figures is a link to another folder: nothing is written then.
    """
    own = _files_of_report(folder)
    strangers = [name for name in names if name not in own and os.path.lexists(folder / name)]
    if (folder / "figures").is_symlink():
        strangers.append("figures")
    if strangers:
        raise ConfigError(
            f"{strangers[0]} is there and is not of a report",
            str(folder / strangers[0]),
            "give another --out, or move it",
        )
    try:
        atomic.make_folder(folder)
        atomic.write_json(folder / FILES, sorted(own.union(names)))  # first: a kill may come between any two files
    except ConfigError as error:
        advice = "give --out a folder that you may write to, or ask the owner of this one to let your group write there"
        raise ConfigError(error.what, error.where, advice) from error
    return own


def _figure_file(name: str) -> str:
    return f"figures/{name}.json"


def _files_of_report(folder: Path) -> set[str]:
    """The files that the report in `folder` says it has, none where there is no report."""
    listed = _read_list(folder / FILES)
    figures = (read_json(folder / "report.json") or {}).get("figures")
    if isinstance(figures, dict):
        listed |= {REPORT, *BESIDE, *map(_figure_file, figures)}
    return {name for name in listed if name in (REPORT, *BESIDE) or FIGURE.fullmatch(name)}


def _read_list(path: Path) -> set[str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return {name for name in found if isinstance(name, str)} if isinstance(found, list) else set()
