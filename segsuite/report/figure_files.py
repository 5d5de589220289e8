"""Every figure as PNG, SVG and PDF for papers, drawn by a headless Chromium through kaleido, offline."""

import copy
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segsuite.errors import SegsuiteError
from segsuite.io import atomic
from segsuite.report.page import PLOTLY
from segsuite.report.sections.base import Figure
from segsuite.report.style import template

FORMATS = ("png", "svg", "pdf")
WIDTH = 760
INSTALL = "install both: pip install 'segsuite[figures]', and Chrome or Chromium (Debian: apt-get install chromium)"


def write_figures(figures: Sequence[Figure], folder: Path) -> list[Path]:
    """Writes folder/NAME.png, .svg and .pdf of each figure, on white; PNGs have two pixels a point.

    Raises SegsuiteError when kaleido or a browser is missing.
    """
    try:
        import kaleido
    except ImportError as error:
        raise SegsuiteError("figures as PNG, SVG and PDF need the package kaleido", "--figures", INSTALL) from error
    atomic.make_folder(folder)
    jobs = [(figure, kind) for figure in figures for kind in FORMATS]
    with tempfile.TemporaryDirectory(prefix="segsuite-figures-") as drawn:
        try:
            kaleido.write_fig_from_object_sync(
                [_job(figure, kind, Path(drawn)) for figure, kind in jobs],
                kopts={"page_generator": kaleido.PageGenerator(plotly=PLOTLY.as_uri(), mathjax=False)},
                cancel_on_error=True,
            )
        except Exception as error:  # kaleido and the browser under it raise many kinds
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise SegsuiteError(f"figures could not be drawn: {reason}", "--figures", INSTALL) from error
        written = []
        for figure, kind in jobs:
            path = folder / f"{figure.name}.{kind}"
            atomic.write_bytes(path, (Path(drawn) / path.name).read_bytes())
            written.append(path)
    return written


def file_names(figures: Sequence[Figure]) -> list[str]:
    """The files that `write_figures` writes."""
    return [f"{figure.name}.{kind}" for figure in figures for kind in FORMATS]


def _job(figure: Figure, kind: str, folder: Path) -> dict[str, Any]:
    layout = copy.deepcopy(dict(figure.layout)) | {"template": template(), "paper_bgcolor": "#FFFFFF"}
    return {
        "fig": {"data": list(figure.data), "layout": layout},
        "path": str(folder / f"{figure.name}.{kind}"),
        "opts": {
            "format": kind,
            "width": max(WIDTH, figure.min_width, figure.paper_width),
            "height": figure.layout["height"],
            "scale": 2 if kind == "png" else 1,
        },
    }
