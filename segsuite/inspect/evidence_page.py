"""Pages of pictures of `segsuite inspect`, each one file that asks nothing of any network."""

from collections.abc import Sequence
from pathlib import Path

from segsuite.io import atomic
from segsuite.report.page import PLOTLY, TEMPLATES, drawn, environment, json_for_script, policy, read
from segsuite.report.sections.base import Section
from segsuite.report.style import template


def write_page(
    path: Path, command: str, title: str, answer: str, facts: Sequence[str], sections: Sequence[Section]
) -> None:
    """Writes the page."""
    atomic.write_text(path, page(command, title, answer, facts, sections))


def page(command: str, title: str, answer: str, facts: Sequence[str], sections: Sequence[Section]) -> str:
    """The whole page: what was called, what comes out in a sentence, and the sections."""
    scripts = [read(PLOTLY), read(TEMPLATES / "page.js")]
    data = {
        "figures": {figure.name: drawn(figure) for section in sections for figure in section.figures},
        "templates": {"light": template(), "dark": template(dark=True)},
    }
    return (
        environment()
        .get_template("inspected.html")
        .render(
            command=command,
            title=title,
            answer=answer,
            facts=facts,
            sections=sections,
            style=read(TEMPLATES / "page.css"),
            scripts=scripts,
            data=json_for_script(data),
            policy=policy(scripts),
        )
    )
