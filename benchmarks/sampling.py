"""What sampling against imbalance draws from CamVid, without training: classes in crops, and images in batches.

First part: share of a class in the pixels without void of all crops, and share of the crops that hold the class. Second
part: share of the images drawn that hold a class, and of the batches of 4 in which no image does.
"""

import argparse
import json
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsuite.datasets import build_dataset
from segsuite.datasets.class_crops import ClassAwarePlacement
from segsuite.datasets.loader import EpochSampler, sample_seed
from segsuite.datasets.repeat_factors import repeat_factors
from segsuite.datasets.statistics import count_labels, read_label
from segsuite.datasets.transforms import Transform

BATCH, RARE = 4, 5
CROPS: dict[str, dict[str, Any] | None] = {
    "anywhere": None,
    "probability 0.33, all classes alike": {"probability": 0.33, "temperature": None},
    "probability 0.33": {"probability": 0.33},
    "probability 1": {"probability": 1.0},
    "max_share 0.5": {"probability": 0.0, "max_share": 0.5},
    "probability 0.33, max_share 0.5": {"probability": 0.33, "max_share": 0.5},
}
THRESHOLDS = (None, 0.9, 1.0)


def counted(
    labels: list[NDArray[np.uint8]],
    shares_C: NDArray[np.float64],
    settings: Any,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Shares and presence of the classes in the crops of some epochs, and CPU milliseconds a crop."""
    placement = None if settings is None else ClassAwarePlacement(list(shares_C), **settings)
    transform = Transform(crop=tuple(options.crop), scale=tuple(options.scale), placement=placement)
    pixels, started = [], time.process_time()
    for epoch in range(options.epochs):
        for index, label in enumerate(labels):
            image = np.zeros((*label.shape, 3), np.uint8)
            mask = transform(image, label, sample_seed(options.seed, epoch, index))[1]
            pixels.append(np.bincount(mask.ravel(), minlength=256)[: len(shares_C)])
    milliseconds = 1e3 * (time.process_time() - started) / len(pixels)
    counts_NC = np.array(pixels)
    largest_N = counts_NC.max(1) / counts_NC.sum(1).clip(min=1)
    return {
        "share": (counts_NC.sum(0) / counts_NC.sum()).tolist(),
        "rare_share": float(counts_NC[:, np.argsort(shares_C)[:RARE]].sum() / counts_NC.sum()),
        "presence": (counts_NC > 0).mean(0).tolist(),
        "largest_share": float(largest_N.mean()),
        "crops_above_half": float((largest_N > 0.5).mean()),
        "milliseconds": milliseconds,
    }


def drawn(has_NC: NDArray[np.bool_], threshold: float | None, seed: int, epochs: int) -> dict[str, Any]:
    """How many of the images drawn hold each class, and how many batches lack it."""
    factors = None if threshold is None else repeat_factors(has_NC.astype(np.int64), threshold)
    sampler = EpochSampler(range(len(has_NC)), seed, factors=factors)
    orders, different = [], []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        order = [key[1] for key in sampler]
        orders += order[: len(order) // BATCH * BATCH]
        different.append(len(set(order)))
    seen_NC = has_NC[orders]
    return {
        "presence": seen_NC.mean(0).tolist(),
        "batches_without": (~seen_NC.reshape(-1, BATCH, has_NC.shape[1]).any(1)).mean(0).tolist(),
        "different_images": float(np.mean(different)),
        "largest_factor": None if factors is None else float(factors.max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="data/camvid")
    parser.add_argument("--crop", type=int, nargs=2, default=(192, 256), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--scale", type=float, nargs=2, default=(1.0, 1.0), metavar=("LOW", "HIGH"))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    dataset = build_dataset("camvid", "train", root=options.root)
    labels = [read_label(dataset, index) for index in range(len(dataset))]
    pixels_NC = count_labels(dataset).pixels_NC
    shares_C = pixels_NC.sum(0) / pixels_NC.sum()
    crops = {name: counted(labels, shares_C, given, options) for name, given in CROPS.items()}
    draws = {str(t): drawn(pixels_NC > 0, t, options.seed, 20 * options.epochs) for t in THRESHOLDS}
    if options.json:
        print(json.dumps({"classes": dataset.classes, "crops": crops, "draws": draws}, indent=1))
        return
    print(f"crops; columns: {', '.join(dataset.classes)}")
    for name, found in crops.items():
        print(name)
        for key in ("share", "presence"):
            print(f"  {key:9}" + " ".join(f"{100 * value:6.2f}" for value in found[key]) + " %")
        print(
            f"  {RARE} rarest classes {100 * found['rare_share']:.2f} %; mean largest share "
            f"{found['largest_share']:.3f}, above 0.5 in {100 * found['crops_above_half']:.1f} % of the crops, "
            f"{found['milliseconds']:.2f} ms a crop"
        )
    for name, found in draws.items():
        print(f"repeat_threshold {name}: {found['different_images']:.1f} different images an epoch of {len(dataset)}")
        for key in ("presence", "batches_without"):
            print(f"  {key:16}" + " ".join(f"{100 * value:6.2f}" for value in found[key]) + " %")


if __name__ == "__main__":
    main()
