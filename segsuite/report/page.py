"""The page: one HTML file with everything in it, which asks nothing of any network."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from segsuite.io.numbers import finite
from segsuite.report.methods import methods
from segsuite.report.overview import overview
from segsuite.report.sections.base import Figure, Material, Section
from segsuite.report.style import template

FOLDER = Path(__file__).parent
TEMPLATES = FOLDER / "templates"
MARK = b'<meta name="generator" content="segsuite">'
"""In templates/head.html: who finds it knows whose page it is."""
PLOTLY = FOLDER / "static" / "plotly-cartesian.min.js"


def render(material: Material, sections: Sequence[Section], version: str = "") -> str:
    """The whole page. With a `version` it asks the local server of `--serve` whether there is another one to load."""
    # No part of a template is rendered twice, and nothing is replaced in the finished text: the scripts hold HTML tags.
    return rendered(
        "page.html",
        [figure for section in sections for figure in section.figures],
        live=bool(version),
        title=f"{material.gathered.name}: report",
        command=material.gathered.name,
        gathered=material.gathered,
        answers=material.answers,
        overview=overview(material),
        sections=sections,
        methods=methods(material),
        version=version,
    )


def rendered(
    name: str,
    figures: Iterable[Figure],
    live: bool = False,
    themes: Mapping[str, Any] | None = None,
    **values: Any,
) -> str:
    """The template `name`, which extends base.html, with the figures that its script draws and with `values`, `title`
    and `command` among them. themes: Plotly's templates `light` and `dark`, where they are not those of the report."""
    scripts = [read(PLOTLY), read(TEMPLATES / "page.js"), *([read(TEMPLATES / "live.js")] if live else [])]
    data = {
        "figures": {figure.name: drawn(figure) for figure in figures},
        "templates": themes or {"light": template(), "dark": template(dark=True)},
    }
    return (
        environment()
        .get_template(name)
        .render(
            style=read(TEMPLATES / "page.css"),
            scripts=scripts,
            data=json_for_script(data),
            policy=policy(scripts, live),
            **values,
        )
    )


def is_page(path: Path) -> bool:
    """Whether a file is a page that this module made, so that another one may replace it."""
    try:
        with open(path, "rb") as file:
            return MARK in file.read(4096)
    except OSError:
        return False


def environment() -> jinja2.Environment:
    """The templates, with everything escaped that is not marked safe."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"minus": minus, "unbroken": unbroken}
    return made


def drawn(figure: Figure) -> dict[str, Any]:
    """What the page's script draws."""
    return {"data": figure.data, "layout": figure.layout, "narrow": figure.narrow}


def policy(scripts: Sequence[str], live: bool = False) -> str:
    """The content security policy: these scripts by their hashes and no other, pictures from the page itself, and no
    connection, but for the page's own server when `live`."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    connect = "'self'" if live else "'none'"
    # Plotly puts style rules into the page: styles cannot be named by hash.
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def json_for_script(value: Any) -> str:
    """JSON that no HTML parser takes for a tag and no JavaScript parser for a line's end.

    >>> json_for_script("</script>")
    '"\\\\u003c/script\\\\u003e"'
    """
    text = json.dumps(finite(value), allow_nan=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def minus(text: str) -> str:
    """`text` with a minus sign instead of the hyphen before a number."""
    return re.sub(r"(?<![\w.])-(?=\d)", "\N{MINUS SIGN}", text)


def unbroken(text: str) -> str:
    """`text` whose lines do not break at a hyphen within a word."""
    return re.sub(r"(?<=\w)-(?=\w)", "\N{NON-BREAKING HYPHEN}", text)


def read(path: Path) -> str:
    """The text of a template, script or style sheet as it is."""
    # Trailing spaces and line ends count: the policy names scripts by the hash of their text.
    return path.read_text(encoding="utf-8")
