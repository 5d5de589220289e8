"""What the documents name exists: linked files and headings, make targets, experiments."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
NAMED_DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md", "slurm/README.md")
DOCUMENTS = sorted(
    {path for name in NAMED_DOCUMENTS if (path := REPOSITORY / name).exists()} | {*(REPOSITORY / "docs").rglob("*.md")}
)
README = [REPOSITORY / "README.md"] if (REPOSITORY / "README.md").exists() else []

# [text](target), ![alt](target "title") and <img src="target">
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)[^)]*\)|<(?:img|a)\b[^>]*?(?:src|href)=\"([^\"]+)\"")
FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)

documents = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
readme = pytest.mark.parametrize("document", README, ids=lambda path: path.name)


def links(text: str) -> list[str]:
    """Targets of the links in a Markdown text, code blocks left out."""
    return [match[1] or match[2] for match in LINK.finditer(FENCE.sub("", text))]


def anchors(text: str) -> set[str]:
    """The anchors that a forge gives to the headings of a Markdown text."""
    headings = re.findall(r"^#+\s+(.*?)\s*$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def relative_links(document: Path) -> list[tuple[str, Path, str]]:
    """Of every link that is no web address: the link, the file that it means, and its anchor or ""."""
    found = []
    for link in links(document.read_text("utf-8")):
        name, _, anchor = link.partition("#")
        if not re.match(r"[a-z]+:", link):
            found.append((link, (document.parent / name).resolve() if name else document, anchor))
    return found


@documents
def test_every_relative_link_points_to_an_existing_file(document: Path) -> None:
    broken = [link for link, target, _ in relative_links(document) if not target.exists()]
    assert not broken, f"{document.relative_to(REPOSITORY)} links to files that do not exist: {broken}"


@documents
def test_every_anchor_is_a_heading(document: Path) -> None:
    linked = [(link, target, anchor) for link, target, anchor in relative_links(document) if anchor]
    broken = [link for link, target, anchor in linked if anchor not in anchors(target.read_text("utf-8"))]
    assert not broken, f"{document.relative_to(REPOSITORY)} links to headings that do not exist: {broken}"


@documents
def test_every_relative_link_stays_in_the_repository(document: Path) -> None:
    outside = [link for link, target, _ in relative_links(document) if not target.is_relative_to(REPOSITORY)]
    assert not outside, f"{document.relative_to(REPOSITORY)} links out of the repository: {outside}"


@documents
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    text = document.read_text("utf-8")
    code = re.findall(r"`([^`\n]+)`", text) + [block[0] for block in FENCE.finditer(text)]
    named = {target for part in code for target in re.findall(r"\bmake ([a-z][a-z-]*)", part)}
    targets = set(re.findall(r"^([a-z][a-z-]*):", (REPOSITORY / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert named <= targets, f"{document.relative_to(REPOSITORY)}: not in the Makefile: {sorted(named - targets)}"


@documents
def test_every_experiment_that_is_named_exists(document: Path) -> None:
    named = set(re.findall(r"\bexperiments/[\w./-]*\.yaml\b", document.read_text("utf-8")))
    missing = sorted(name for name in named if not (REPOSITORY / name).exists())
    assert not missing, f"{document.relative_to(REPOSITORY)} names experiments that do not exist: {missing}"


def test_links_are_found_in_their_usual_forms() -> None:
    text = '[a](b.md) ![c](d.png "title") <img width="1" src="e.svg">\n```\n[not](a/link)\n```\n'
    assert links(text) == ["b.md", "d.png", "e.svg"]


def test_anchors_follow_the_headings() -> None:
    assert anchors("# Two words\n## `code`: x_y\n") == {"two-words", "code-x_y"}
