"""Pages of pictures of `segsuite inspect`, each one file that asks nothing of any network."""

from collections.abc import Sequence
from pathlib import Path

from segsuite.io import atomic
from segsuite.report.page import rendered
from segsuite.report.sections.base import Section


def write_page(
    path: Path, command: str, title: str, answer: str, facts: Sequence[str], sections: Sequence[Section]
) -> None:
    """Writes the page."""
    atomic.write_text(path, page(command, title, answer, facts, sections))


def page(command: str, title: str, answer: str, facts: Sequence[str], sections: Sequence[Section]) -> str:
    """The whole page: what was called, what comes out in a sentence, and the sections."""
    return rendered(
        "inspected.html",
        [figure for section in sections for figure in section.figures],
        command=command,
        title=title,
        sentences=[answer],
        facts=facts,
        sections=sections,
    )
