"""The sections of the report, in the order of the page.

Contract: `build(material: Material) -> Section | None` makes a section from what was gathered; None leaves it out,
which an optional section does unless the run directories hold what it shows. A new section is one file beside this one
and one line in `SECTIONS`. Imports no numpy.
"""

from typing import TYPE_CHECKING

from segsuite.families import resolve

if TYPE_CHECKING:
    from segsuite.report.sections.base import Material, Section

SECTIONS: dict[str, str] = {
    "seeds": "segsuite.report.sections.seeds:build",
    "differences": "segsuite.report.sections.differences:build",
    "axes": "segsuite.report.sections.two_axes:build",
    "losses": "segsuite.report.sections.losses:build",
    "cost": "segsuite.report.sections.cost:build",
    "classes": "segsuite.report.sections.classes:build",
    "imbalance": "segsuite.report.sections.imbalance:build",
    "image-scores": "segsuite.report.sections.image_scores:build",
    "precision-recall": "segsuite.report.sections.precision_recall:build",
    "reliability": "segsuite.report.sections.reliability:build",
    "boundary": "segsuite.report.sections.boundary:build",
    "curves": "segsuite.report.sections.curves:build",
    "constants": "segsuite.report.sections.checkerboard:build",
    "checkerboard-epochs": "segsuite.report.sections.checkerboard_epochs:build",
    "checkerboard-spectrum": "segsuite.report.sections.checkerboard_pictures:build",
    "checkerboard-predictions": "segsuite.report.sections.checkerboard:predictions",
    "checkerboard-crops": "segsuite.report.sections.checkerboard_crops:build",
    "images": "segsuite.report.sections.images:build",
    "table": "segsuite.report.sections.table:build",
}


def build_sections(material: "Material") -> "list[Section]":
    """Every section that has something to show."""
    built = (resolve("section", SECTIONS, name)(material) for name in SECTIONS)
    return [section for section in built if section is not None]
