"""The page of `segsuite inspect E.yaml --evidence`."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from segsuite.datasets.base import SegmentationDataset
from segsuite.datasets.image_io import label_png
from segsuite.inspect.evidence_classes import COLUMNS, ClassEvidence, evidence_rows, image_of
from segsuite.inspect.evidence_page import write_page
from segsuite.inspect.evidence_pictures import data_uri, evidence_picture, photo_picture, projection_picture
from segsuite.io.numbers import significant
from segsuite.models.network import SegmentationNetwork
from segsuite.report.sections.base import Cell, Picture, Row, Section, Table


def write_evidence_page(
    found: Sequence[ClassEvidence],
    network: SegmentationNetwork,
    dataset: SegmentationDataset,
    title: str,
    facts: Sequence[str],
    path: Path,
) -> None:
    """Writes the page."""
    rows = list(_rows(found, network, dataset))
    notes = (
        "Evidence (Seg-Grad-CAM): what of the layer speaks for the class at the pixels that are predicted so, by its "
        "largest value, over the photo. It is as coarse as the layer.",
        "Then the channel that says most for the class, at the place where it is most active, back in the pixels: by "
        "the gradient, by guided gradients, by the deconvnet. Grey is nothing. Guided gradients show edges of the "
        "image whatever the weights are (Adebayo et al. 2018, arXiv 1810.03292); without max pooling a deconvnet "
        "knows of the image only the place.",
    )
    cells = [
        [Cell(text, float(text) if place in (2, 4, 5, 6) else text) for place, text in enumerate(row)]
        for row in evidence_rows(found)
    ]
    caption = (
        "Inside: share of the evidence on the pixels that are predicted so. Concentration: by their share of the "
        "image; 1 is evidence that is spread over the whole image, below 1 it lies elsewhere."
    )
    columns = [(name, place in (2, 4, 5, 6)) for place, name in enumerate(COLUMNS)]
    sections = [
        Section("numbers", "Figures", table=Table(columns, cells, caption)),
        Section("pictures", "Pictures", notes=notes, rows=rows),
    ]
    write_page(path, "segsuite inspect --evidence", title, answer(found), facts, sections)


def answer(found: Sequence[ClassEvidence]) -> str:
    """Which classes are decided on their own pixels and which are not, in a sentence."""
    if not found:
        return "No class is predicted in these images."
    first = [one for one in found if one.layer == found[0].layer]
    most, least = (pick(first, key=lambda one: one.concentration) for pick in (max, min))
    return (
        f"In {found[0].layer} the evidence is most concentrated on its own pixels for {most.name} "
        f"({most.concentration:.1f} times their area), least for {least.name} ({least.concentration:.1f} times)."
    )


def _rows(found: Sequence[ClassEvidence], network: SegmentationNetwork, dataset: SegmentationDataset) -> Iterator[Row]:
    """Of each class its image, then a row a layer."""
    colours = [*dataset.palette, *[(0, 0, 0)] * (256 - len(dataset.palette))]
    for name, of_class in itertools.groupby(found, key=lambda one: one.name):
        layers = list(of_class)
        photo, label = dataset.read(layers[0].image)
        with torch.inference_mode():
            logits_NCHW = network(image_of(dataset, layers[0].image))
        predicted = logits_NCHW[0].argmax(dim=0).to(torch.uint8).numpy()
        height, width = label.shape
        pictures = [
            Picture("photo", photo_picture(photo)),
            Picture("label", data_uri("png", label_png(label, colours, 255))),
            Picture("prediction", data_uri("png", label_png(predicted, colours, 255))),
        ]
        yield Row(name, layers[0].image_name, pictures, width, height)
        for one in layers:
            evidence = Picture(
                "evidence", evidence_picture(photo, one.evidence_HW), "", f"{significant(one.concentration)} x"
            )
            projections = [
                Picture(f"channel {one.channel}: {rule}", projection_picture(pixels))
                for rule, pixels in one.projections.items()
            ]
            why = f"channel {one.channel} at row {one.place[0]}, column {one.place[1]} of the layer"
            yield Row(f"{name}, {one.layer}", why, [evidence, *projections], width, height)
