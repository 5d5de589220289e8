"""The logits of all arms at one place of one image, enlarged."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from segsuite.datasets import build_dataset
from segsuite.datasets.image_io import jpeg, label_png
from segsuite.errors import SegsuiteError
from segsuite.report.checkerboards import Picture, at_the_same_place, measured
from segsuite.report.gather import TrialRecord
from segsuite.report.sections.base import PAGE_WIDTH, Figure, Material, Section
from segsuite.report.sections.checkerboard_pictures import COLUMNS, ceiling, compact, pictures_of
from segsuite.report.sections.multiples import Bar, Tile, at, frame, multiples

PALETTE = ((0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (213, 94, 0), (86, 180, 233), (240, 228, 66))
VOID_COLOUR = (0, 0, 0)


def build(material: Material) -> Section | None:
    """The logits of all arms at one place, enlarged; None without images."""
    shown = pictures_of(material, measured(material.gathered).arms)
    same = at_the_same_place(shown.pictures, "final_margin_image")
    same = {arm: of_arm for arm, of_arm in same.items() if "final_margin" in of_arm}
    if not same or not material.with_images:
        return None
    highest = max(float(np.nanmax(of_arm["final_margin"], initial=0.0)) for of_arm in same.values())
    bar = Bar("power", 0.0, ceiling(highest), "largest minus second largest logit")
    tiles = _photo_and_label(material, next(iter(same.values())))
    for arm, of_arm in same.items():
        margin = of_arm["final_margin"]
        heat = bar.heat() | compact(margin, "f4") | at(*margin.shape)
        heat["hovertemplate"] = "margin %{z:.2f}<extra></extra>"
        tiles.append(Tile(material.styles[arm].name, [heat, frame(0, 1)], material.styles[arm].colour))
    data, layout, narrow = multiples(tiles, bar, COLUMNS)
    side = max(next(iter(same.values()))["final_margin"].shape)
    caption = (
        f"How sure the network is of its class, trained, {shown.of}: largest minus second largest logit, one colour "
        f"scale. A part of {side} pixels a side of one image, the one with the most borders in its label, at the same "
        "place for every arm. Lines near 0 are borders of the prediction; a grid of such spots is a checkerboard. "
        "Black in the label is void."
    )
    left_out = [material.styles[arm].name for arm in shown.pictures if arm not in same]
    if left_out:
        caption += f" Not measured at this place, and left out: {', '.join(left_out)}."
    return Section(
        "checkerboard-crops",
        "Logits, enlarged",
        figures=[Figure("checkerboard-crops", caption, data, layout, narrow, paper_width=PAGE_WIDTH)],
    )


def _photo_and_label(material: Material, of_arm: Mapping[str, Picture]) -> list[Tile]:
    photo, label = of_arm["final_margin_image"], of_arm.get("final_margin_label")
    tiles = [Tile("photo", [_image("jpeg", jpeg(photo, quality=92), *photo.shape[:2])])]
    if label is not None:
        colours = _palette(material)
        ids = np.where(label < len(colours), label, len(colours)).astype(np.uint8)
        tiles.append(Tile("label", [_image("png", label_png(ids, [*colours, VOID_COLOUR]), *label.shape), frame(0, 1)]))
    return tiles


def _palette(material: Material) -> Sequence[tuple[int, int, int]]:
    """The dataset's colours; where it cannot be read here, colours of the report."""
    trial: TrialRecord = material.gathered.finished[0]
    data, scored = trial.settings.data, (trial.result or {}).get("scored", {})
    try:
        return build_dataset(data.name, str(scored.get("split", "val")), **data.model_dump(exclude={"name"})).palette
    except SegsuiteError:
        return PALETTE


def _image(kind: str, content: bytes, rows: int, columns: int) -> dict[str, Any]:
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return {"type": "image", "source": source, "hoverinfo": "skip"} | at(rows, columns)
