"""Whether what makes a training fast costs quality: the same seeds with and without it, and the difference of mIoU.

Each row is one fast path against its plain form, everything else being equal: pairs of trainings of the same seeds by
`segsuite run`, compared as a report compares arms (seeds and images random, 95 %). Where the two are the same by
construction, as images from the cache, the difference has to be 0.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import timing

from segsuite import yaml_io
from segsuite.experiment import load
from segsuite.stats import compare, linearise

REPOSITORY = Path(__file__).resolve().parents[1]
UNET = {"name": "unet", "encoder": "resnet18", "decoder_channels": [64, 48, 32, 24, 16]}
DEEPLAB = {"name": "deeplabv3", "encoder": "resnet18", "output_stride": 16}
# What the suite may do by itself, turned off.
PLAIN: dict[str, Any] = {
    "model": UNET,
    "train.precision": "fp32",
    "train.full_resolution": "direct",
    "execution.cache_images": False,
    "execution.data_on_device": False,
    "execution.cuda_graphs": False,
    "execution.threads": 1,
}


@dataclass(frozen=True)
class FastPath:
    """A fast path: settings that differ from PLAIN, and those that both sides have beside it."""

    name: str
    fast: dict[str, Any]
    both: dict[str, Any] = field(default_factory=dict)
    needs_gpu: bool = False


PATHS = (
    FastPath("bf16 / fp32", {"train.precision": "bf16-mixed"}),
    FastPath("cached / decoded", {"execution.cache_images": True}),
    FastPath("augmented on the device / on the CPU", {"execution.data_on_device": True}),
    FastPath("fused / direct loss at full resolution", {"train.full_resolution": "fused"}, {"model": DEEPLAB}),
    FastPath("2 threads / 1 thread", {"execution.threads": 2}),
    FastPath("CUDA graphs / eager", {"execution.cuda_graphs": True}, needs_gpu=True),
)


def options_of() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="of each side, at least 3; default: 3")
    parser.add_argument("--epochs", type=int, metavar="N", help="of each training; default: 8, of CamVid 6")
    parser.add_argument("--data", type=Path, metavar="DIR", help="CamVid's folder; default: images of `shapes`")
    names = "; ".join(f"{at} {path.name}" for at, path in enumerate(PATHS, 1))
    parser.add_argument("--only", metavar="N,M", help=f"rows: {names}; default: all that the device has")
    parser.add_argument("--device", default="cpu", choices=("cuda", "cpu"), help="default: cpu")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="keep the trainings there, and go on with them")
    parser.add_argument("--small", action="store_true", help="tiny sizes: only to see whether it runs")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def chosen(options: argparse.Namespace) -> list[FastPath]:
    """The rows to be measured."""
    if options.only is None:
        return [path for path in PATHS if options.device == "cuda" or not path.needs_gpu]
    known = {str(at): path for at, path in enumerate(PATHS, 1)}
    wanted = [word.strip() for word in options.only.split(",")]
    if unknown := [word for word in wanted if word not in known]:
        sys.exit(f"error: there is no row {unknown[0]}; the rows are 1 to {len(PATHS)}")
    return [known[word] for word in wanted]


def of_data(options: argparse.Namespace) -> dict[str, Any]:
    """Data, crops and how long is trained."""
    if options.data is not None:
        data, crop, epochs = {"name": "camvid", "root": str(options.data.resolve())}, [160, 224], options.epochs or 6
    elif options.small:
        data = {"name": "shapes", "size": [32, 48], "train_images": 16, "val_images": 8}
        crop, epochs = [32, 32], 1
    else:
        data = {"name": "shapes", "size": [96, 128], "train_images": 160, "val_images": 60}
        crop, epochs = [64, 96], options.epochs or 8
    augment = {"crop": crop, "scale": [0.8, 1.3], "brightness": 0.1, "contrast": 0.1}
    schedule = {"name": "cosine", "warmup_fraction": 0.1}
    train = {"epochs": epochs, "batch_size": 8, "validate_every": epochs, "schedule": schedule}
    return {"data": data, "augment": augment, "train": train}


def counts_of(changes: dict[str, Any], options: argparse.Namespace, root: Path, name: str) -> dict[int, Any]:
    """TP, FP and FN of each image and class, of each seed, of trainings with `changes`."""
    values = of_data(options) | {"seeds": list(range(options.seeds)), "tracker": "none", "name": name}
    values |= {"runs_root": str(root), "execution": {"device": options.device}}
    for key, value in changes.items():
        section, _, setting = key.partition(".")
        values[section] = {**values.get(section, {}), setting: value} if setting else value
    path = root / f"{name}.yaml"
    path.write_text(yaml_io.to_text(values), encoding="utf-8")
    command = [sys.executable, "-m", "segsuite", "run", str(path)]
    done = subprocess.run(command, cwd=REPOSITORY, env={**os.environ, "WANDB_MODE": "disabled"}, stdout=sys.stderr)
    if done.returncode:
        sys.exit(f"error: {name} failed; `segsuite why {path}` says why")
    return {trial.seed: np.load(trial.folder / "counts.npz")["counts"].astype(np.int64) for trial in load(path).trials}


def seconds_of(root: Path, name: str) -> float:
    """The mean time of its trainings, validation and scoring left out."""
    texts = [path.read_text(encoding="utf-8") for path in (root / name).glob("*/events.jsonl")]
    return sum(float(json.loads(line).get("seconds", 0.0)) for text in texts for line in text.splitlines()) / len(texts)


def of_seed(counts_NC3: Any) -> float:
    """mIoU of a trial."""
    return linearise(counts_NC3, "miou")[0]


def row(path: FastPath, options: argparse.Namespace, root: Path) -> dict[str, Any]:
    """The comparison of both sides, as a report makes it."""
    sides = {"plain": PLAIN | path.both, "fast": PLAIN | path.both | path.fast}
    arms, names = {}, {}
    for side, changes in sides.items():
        names[side] = "-".join(["plain" if side == "plain" else str(PATHS.index(path)), str(changes["model"]["name"])])
        arms[side] = counts_of(changes, options, root, names[side])
    (found,) = compare(arms, "plain")
    return {
        "path": path.name,
        "seeds": options.seeds,
        "miou": {side: float(np.mean([of_seed(one) for one in seeds.values()])) for side, seeds in arms.items()},
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "equal_counts": all(np.array_equal(arms["plain"][seed], arms["fast"][seed]) for seed in arms["plain"]),
        "sentence": found.sentence(),
        "seconds": {side: seconds_of(root, name) for side, name in names.items()},
    }


def to_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """A table that Markdown, and an eye, can read."""
    lines = ["| fast / plain | mIoU, plain and fast | difference | 95 % interval | same counts | s of steps, both |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for one in rows:
        interval = "" if one["low"] is None else f"{one['low']:+.4f} to {one['high']:+.4f}"
        seconds = f"{one['seconds']['plain']:.0f}, {one['seconds']['fast']:.0f}"
        same = "yes" if one["equal_counts"] else "no"
        miou = f"{one['miou']['plain']:.4f}, {one['miou']['fast']:.4f}"
        lines.append(f"| {one['path']} | {miou} | {one['difference']:+.4f} | {interval} | {same} | {seconds} |")
    return "\n".join(lines)


def main() -> None:
    options = options_of().parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = (options.runs or Path(temporary)).resolve()
        root.mkdir(parents=True, exist_ok=True)
        rows = [row(path, options, root) for path in chosen(options)]
    if options.json:
        threads = timing.machine(1)
        print(json.dumps({"benchmark": "quality", "machine": threads, "tables": rows}, indent=1))
    else:
        data = "shapes" if options.data is None else "CamVid"
        print(f"quality: {data}, {options.seeds} seeds, {options.device}\n\n{to_markdown(rows)}")


if __name__ == "__main__":
    main()
