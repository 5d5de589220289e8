"""Datasets: images with one class id a pixel. Importing this package imports neither numpy nor torch.

Contract of a dataset (`base.SegmentationDataset`), which `tests/contracts` checks for every name below:
- `Dataset(split, **settings)` finds its samples and reads none; wrong settings or folders raise here.
- `classes` (names), `palette` (one RGB a class), `split`, `len()`, `sample_name(i)` (short, unique),
  `sequence(i)` (samples of one sequence are correlated: resample them together).
- `read(i) -> (image, label)`: image (H, W, 3) uint8, or float32 in 0..1 from sources of more than 8 bits;
  label (H, W) uint8, class ids 0..C-1 and 255 for void (a pixel without a class, never background). Same H
  and W.
- `read` raises DataError with the file's name (and the value) for damage, unknown values and sizes that
  differ.
- `fingerprint()`: 16 hex digits, the same on every machine for the same data and settings.

A new dataset is one file beside this one and one line in `DATASETS`.
"""

from typing import TYPE_CHECKING, Any

from segsuite.families import resolve

if TYPE_CHECKING:
    from segsuite.datasets.base import SegmentationDataset

DATASETS: dict[str, str] = {
    "shapes": "segsuite.datasets.shapes:Shapes",
    "camvid": "segsuite.datasets.camvid:CamVid",
    "folder": "segsuite.datasets.folder:Folder",
}


def build_dataset(name: str, split: str, **settings: Any) -> "SegmentationDataset":
    """The dataset `name` for one split ("train", "val", "test").

    Raises ConfigError for an unknown name, DataError when its files are not there, TypeError for an unknown
    setting.
    """
    dataset: SegmentationDataset = resolve("dataset", DATASETS, name)(split, **settings)
    return dataset
