"""Where a result came from: code, packages, machine, data, weights; one record an attempt. No secrets: of the
environment only an allow-list."""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segsuite.io import atomic, checkout
from segsuite.io.numbers import finite

FILE = "manifest.json"
"""The last attempt's record."""
ATTEMPTS = "manifests.jsonl"
"""Every attempt's record, one a line, oldest first; never overwritten."""
PACKAGES = (
    "segsuite", "torch", "torchvision", "pytorch-lightning", "segmentation-models-pytorch", "timm", "albumentations",
    "numpy", "scipy", "opencv-python-headless", "pillow", "pydantic", "safetensors", "triton", "pyyaml", "jinja2",
    "rich", "wandb",
)  # fmt: skip
MAPPINGS = frozenset({"code", "packages", "hardware", "environment", "dataset", "weights"})
SNAPSHOT = "snapshot.json"
"""Beside a copy of the code, which has no .git: its commit, and whether files differed from that."""
ENVIRONMENT = (
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "SLURM_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_NODELIST",
    "SLURM_RESTART_COUNT",
)


def describe(
    dataset_fingerprint: str,
    hardware: dict[str, Any],
    weights: Mapping[str, str],
    dataset: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The manifest of an attempt that starts now; `weights`: name -> SHA-256 of what was loaded, `dataset`: facts of
    the data."""
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "code": code(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "hardware": hardware,
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        "dataset_fingerprint": dataset_fingerprint,
        "dataset": dataset or {},
        "weights": dict(weights),
    }


def code() -> dict[str, Any]:
    """Git commit of the code that runs, whether files of the package differed from it (None where git cannot tell), and
    a hash of the package's sources, which sees every change with or without git."""
    package = Path(__file__).resolve().parent.parent
    copied = _snapshot(package.parent)
    if copied is None:
        found = {"commit": checkout.commit(package.parent), "dirty": checkout.differs(package.parent, package.name)}
    else:
        found = {"commit": copied.get("commit"), "dirty": copied.get("dirty")}
    return {**found, "sources_sha256": _sources(package)}


def add(folder: Path, described: Mapping[str, Any], continues: bool) -> None:
    """Records an attempt of the trial in `folder`; `continues`: from a checkpoint, not from the start."""
    record = {**described, "continues": continues}
    if not (folder / ATTEMPTS).exists():
        for earlier in attempts(folder):  # of a version that kept the last one alone
            _append(folder, earlier)
    _append(folder, record)
    atomic.write_json(folder / FILE, record)


def attempts(folder: Path) -> list[dict[str, Any]]:
    """The records of all attempts, oldest first; of a run directory of an earlier version the last one alone. A line
    that cannot be read is not there."""
    found: list[dict[str, Any]] = []
    with contextlib.suppress(OSError):
        found = _mappings((folder / ATTEMPTS).read_bytes().split(b"\n"))
    if not found:
        with contextlib.suppress(OSError):
            found = _mappings([(folder / FILE).read_bytes()])
    # A damaged one may hold anything: what should be a mapping and is none is not there.
    return [{k: v for k, v in one.items() if k not in MAPPINGS or isinstance(v, dict)} for one in found]


def of_result(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of `records` that the weights come from: the last one that began anew, and what continued it."""
    anew = [number for number, record in enumerate(records) if record.get("continues") is not True]
    return list(records[anew[-1] if anew else 0 :])


def _append(folder: Path, record: Mapping[str, Any]) -> None:
    atomic.append_line(folder / ATTEMPTS, json.dumps(finite(dict(record)), allow_nan=False))


def _mappings(texts: Sequence[bytes]) -> list[dict[str, Any]]:
    """Those of `texts` that are mappings in JSON."""
    found = []
    for text in texts:
        with contextlib.suppress(ValueError, RecursionError):
            found.append(json.loads(text))
    return [one for one in found if isinstance(one, dict)]


def _snapshot(root: Path) -> dict[str, Any] | None:
    try:
        return next(iter(_mappings([(root / SNAPSHOT).read_bytes()])), None)
    except OSError:
        return None


def _sources(package: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
