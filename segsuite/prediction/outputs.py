"""What a prediction leaves in the output folder: label, overlay, probabilities, shares of the classes."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segsuite.datasets.image_io import jpeg, label_png
from segsuite.errors import ConfigError, SegsuiteError, plural
from segsuite.io import atomic
from segsuite.prediction.inputs import SETTINGS
from segsuite.prediction.predictor import Band, Image
from segsuite.prediction.trials import Palette

SHARES = "shares.csv"
OVERLAY_STRENGTH = 0.5
"""Of the class's colour; the rest is the photo."""
JPEG_QUALITY = 90
PROBABILITY_KINDS = ("none", "float16", "uint8")


@dataclass
class Outputs:
    """Files below `folder`: labels/NAME.png, whose palette indices are class ids; overlays/NAME.jpg; probabilities/
    NAME.npz, where they are wished for, as float16 or as uint8 (255 is 1); shares.csv, a row an image;
    predictions.json.

    `begin` refuses to overwrite, unless `force`.
    """

    folder: Path
    classes: tuple[str, ...]
    palette: Palette
    overlays: bool = True
    probabilities: str = "none"
    force: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of predictions.json: which trials, with which options."""
    _rows: list[list[Any]] = field(default_factory=list)

    def files(self, name: str) -> dict[str, Path]:
        """Kind -> the file of an image's prediction."""
        found = {"label": self.folder / "labels" / f"{name}.png"}
        if self.overlays:
            found["overlay"] = self.folder / "overlays" / f"{name}.jpg"
        if self.probabilities != "none":
            found["probabilities"] = self.folder / "probabilities" / f"{name}.npz"
        return found

    def begin(self, names: Sequence[str]) -> None:
        """Makes the folder. Raises ConfigError when a file of that name is there, before anything is computed."""
        places = [path for name in names for path in self.files(name).values()]
        wanted = [self.folder / SHARES, self.folder / SETTINGS, *places]
        there = [] if self.force else [path for path in wanted if path.exists()]
        if there:
            raise ConfigError(
                f"{plural(len(there), 'file')} would be overwritten",
                str(there[0]),
                "choose another folder with --out, or overwrite with --force",
            )
        try:
            atomic.make_folder(self.folder)
            atomic.check_writable(self.folder)
        except SegsuiteError as error:
            raise type(error)(error.what, error.where, "choose another folder with --out") from error
        atomic.write_json(self.folder / SETTINGS, {**self.settings, "classes": list(self.classes)})

    def write(self, name: str, image: Image, prediction: "Prediction") -> None:
        """All files of an image, and its row of shares.csv."""
        files = self.files(name)
        atomic.write_bytes(files["label"], label_bytes(prediction.labels_HW, self.palette))
        if "overlay" in files:
            atomic.write_bytes(files["overlay"], jpeg(overlay(image, prediction.labels_HW, self.palette), JPEG_QUALITY))
        if "probabilities" in files:
            assert prediction.probabilities_CHW is not None
            arrays: dict[str, Any] = {
                "probabilities": prediction.probabilities_CHW,
                "classes": np.array(self.classes),
            }
            atomic.write_with(files["probabilities"], lambda file: np.savez_compressed(file, **arrays))
        height, width = prediction.labels_HW.shape
        counts_C = np.bincount(prediction.labels_HW.ravel(), minlength=len(self.classes))
        self._rows.append([name, height, width, *(f"{count / (height * width):.6f}" for count in counts_C)])

    def end(self) -> Path:
        """Writes shares.csv: the share of pixels of each class, a row an image; its path."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["image", "height", "width", *self.classes])
        table.writerows(sorted(self._rows))
        atomic.write_text(self.folder / SHARES, text.getvalue())
        return self.folder / SHARES


@dataclass
class Prediction:
    """The bands of an image put together; probabilities as they are written, so that no more is held."""

    labels_HW: NDArray[np.integer]
    probabilities_CHW: NDArray[Any] | None = None

    @classmethod
    def of(cls, bands: Iterator[Band], shape: tuple[int, int], num_classes: int, kind: str) -> "Prediction":
        """`shape`: height and width of the image; `kind`: one of PROBABILITY_KINDS."""
        labels_HW = np.empty(shape, np.uint8 if num_classes <= 255 else np.int64)
        probabilities_CHW = None if kind == "none" else np.empty((num_classes, *shape), kind)
        for band in bands:
            place = slice(band.top, band.top + len(band.labels_HW))
            labels_HW[place] = band.labels_HW
            if probabilities_CHW is not None:
                assert band.probabilities_CHW is not None
                probabilities_CHW[:, place] = (
                    np.rint(band.probabilities_CHW * 255) if kind == "uint8" else band.probabilities_CHW
                )
        return cls(labels_HW, probabilities_CHW)


def label_bytes(labels_HW: NDArray[np.integer], palette: Palette) -> bytes:
    """A PNG whose palette indices are the class ids; of more than 256 classes, one of 16 bits without colours."""
    if len(palette) > 256:
        done, content = cv2.imencode(".png", labels_HW.astype(np.uint16))
        assert done
        return content.tobytes()
    colours = [*palette, *[(0, 0, 0)] * (256 - len(palette))]
    return label_png(labels_HW.astype(np.uint8), colours, smallest=False)


def overlay(image: Image, labels_HW: NDArray[np.integer], palette: Palette) -> NDArray[np.uint8]:
    """The photo with the classes' colours half over it, for looking at."""
    photo = image if image.dtype == np.uint8 else (image * 255).round().clip(0, 255).astype(np.uint8)
    coloured = np.array(palette, np.uint8)[labels_HW]
    mixed: NDArray[np.uint8] = cv2.addWeighted(
        np.ascontiguousarray(photo), 1 - OVERLAY_STRENGTH, coloured, OVERLAY_STRENGTH, 0
    ).astype(np.uint8)
    return mixed
