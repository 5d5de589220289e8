"""Photo, label and every arm's prediction of the same places, chosen by rule, with the errors as an overlay."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segsuite.datasets import build_dataset
from segsuite.datasets.base import VOID, SegmentationDataset
from segsuite.datasets.image_io import jpeg, label_png, read_mask
from segsuite.errors import SegsuiteError
from segsuite.io.names import file_stem
from segsuite.report.crops import Label, choose, window
from segsuite.report.gather import TrialRecord, same_images
from segsuite.report.sections.base import Material, Picture, Row, Section

# Height and width of the parts shown, in pixels of the image; the first that fits into MOST_BYTES is taken.
SIZES = ((300, 400), (240, 320), (192, 256), (144, 192), (96, 128))
MOST_BYTES = 2_000_000
ERROR = (213, 61, 0)
TITLE = "Images"


class _Shown(NamedTuple):
    """One image with its predictions by arm, whole."""

    name: str
    why: str
    photo: NDArray[np.uint8] | NDArray[np.float32]
    label: Label
    predictions: Mapping[str, Label]


def build(material: Material) -> Section | None:
    """None without predictions or when images are not wanted; a sentence where the data cannot be read here."""
    trials = {arm: _representative(material, arm) for arm in material.gathered.shown}
    trials = {arm: trial for arm, trial in trials.items() if any((trial.folder / "samples").glob("*.png"))}
    if not trials or not material.with_images:
        return None
    try:
        dataset = _dataset(next(iter(trials.values())))
        shown = _read(material, trials, dataset)
    except SegsuiteError as error:
        note = f"The photos and labels cannot be read on this machine, so that no predictions are shown: {error.what}."
        return Section("images", TITLE, notes=(note,))
    if not shown:
        return None
    rows: list[Row] = []
    for height, width in SIZES:
        rows = [_row(material, one, dataset, height, width) for one in shown]
        if sum(len(picture.source) + len(picture.overlay) for row in rows for picture in row.pictures) <= MOST_BYTES:
            break
    legend = [(f"rgb{colour}", name) for name, colour in zip(dataset.classes, dataset.palette, strict=True)]
    seeds = sorted({trial.seed for trial in trials.values()})
    which = f"of seed {seeds[0]}" if len(seeds) == 1 else "of each arm's first finished seed"
    note = (
        f"Predictions {which}. Trials keep predictions of the same few images, evenly spaced over the split; of these "
        "are shown, by the mIoU of the single image: the two on which the arms are furthest apart, the median one and "
        "the worst one. Of each image: the part with the most pixels on which the arms disagree, at full resolution. "
        "Click to enlarge and flip between arms; hatched is void."
    )
    return Section("images", TITLE, notes=(note,), rows=rows, legend=legend)


def _representative(material: Material, arm: str) -> TrialRecord:
    """The arm's trial of the first seed that every arm has finished, or else its first finished one."""
    gathered = material.gathered
    common = set.intersection(*({trial.seed for trial in gathered.done(other)} for other in gathered.shown))
    done = gathered.done(arm)
    return next((trial for trial in done if trial.seed in common), done[0])


def _dataset(trial: TrialRecord) -> SegmentationDataset:
    assert trial.result is not None
    scored, data = trial.result.get("scored", {}), trial.settings.data
    dataset = build_dataset(data.name, str(scored.get("split", "val")), **data.model_dump(exclude={"name"}))
    fingerprint = str(scored.get("dataset_fingerprint", "")).split("-")[-1]
    if fingerprint and dataset.fingerprint() != fingerprint:
        raise SegsuiteError("the dataset here is not the one that the trials were scored on")
    return dataset


def _read(material: Material, trials: Mapping[str, TrialRecord], dataset: SegmentationDataset) -> list[_Shown]:
    """The chosen images, with the predictions of all of `trials`."""
    reference = material.gathered.reference
    if reference is None:
        return []
    miou: dict[str, NDArray[np.float64]] = {}
    for arm in trials:
        counted = [one.counted for one in material.gathered.done(arm) if one.counted is not None]
        paired = [one.image_miou() for one in counted if same_images(one, reference)]
        if paired:
            miou[arm] = np.mean(paired, axis=0)
    if not miou:
        return []
    places = {name: place for place, name in enumerate(reference.names)}
    indices = {dataset.sample_name(index): index for index in range(len(dataset))}
    candidates = [
        places[name] for name in indices if name in places and all(_file(t, name).exists() for t in trials.values())
    ]
    shown = []
    for choice in choose(miou, candidates):
        name = reference.names[choice.image]
        photo, label = dataset.read(indices[name])
        predictions = {arm: read_mask(_file(trial, name)) for arm, trial in trials.items()}
        if all(prediction.shape == label.shape for prediction in predictions.values()):
            shown.append(_Shown(name, choice.why, photo, label, predictions))
    return shown


def _file(trial: TrialRecord, name: str) -> Path:
    return trial.folder / "samples" / f"{file_stem(name)}.png"


def _row(material: Material, one: _Shown, dataset: SegmentationDataset, height: int, width: int) -> Row:
    part = window(one.label, list(one.predictions.values()), height, width)
    label = part.of(one.label)
    colours = [*dataset.palette, (0, 0, 0)]

    def coloured(ids: NDArray[np.generic]) -> str:
        # Few colours make small files: void and whatever is no class become the id behind the last class.
        return _uri(
            "png", label_png(np.minimum(ids, dataset.num_classes).astype(np.uint8), colours, dataset.num_classes)
        )

    pictures = [
        Picture("photo", _uri("jpeg", jpeg(part.of(one.photo)))),  # type: ignore[arg-type]
        Picture("label", coloured(label)),
    ]
    for arm, prediction in one.predictions.items():
        wrong = (part.of(prediction) != label) & (label != VOID)
        share = wrong.sum() / max(int((label != VOID).sum()), 1)
        overlay = _uri("png", label_png(wrong.astype(np.uint8), ((0, 0, 0), ERROR), 0))
        style = material.styles[arm]
        pictures.append(
            Picture(style.name, coloured(part.of(prediction)), overlay, f"{100 * share:.1f} % wrong", style.colour)
        )
    full_height, full_width = one.label.shape
    where = f"{one.name}: {one.why}"
    if (part.height, part.width) != (full_height, full_width):
        where += f"; rows {part.top} to {part.top + part.height}, columns {part.left} to {part.left + part.width}"
    return Row(one.name, where, pictures, part.width, part.height)


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
