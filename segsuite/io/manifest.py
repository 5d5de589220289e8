"""Where a result came from: code, packages, machine, data. No secrets: of the environment only an allow-list."""

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import socket
import sys
import time
from pathlib import Path
from typing import Any

PACKAGES = (
    "segsuite", "torch", "torchvision", "pytorch-lightning", "segmentation-models-pytorch", "timm", "albumentations",
    "numpy", "opencv-python-headless", "pillow", "pydantic", "wandb",
)  # fmt: skip
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
    dataset_fingerprint: str, hardware: dict[str, Any], weights: dict[str, str], dataset: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The manifest of an attempt that starts now; `dataset`: facts of the data."""
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
        "weights": weights,
    }


def code() -> dict[str, Any]:
    """Git commit of the code that runs, whether files differed from it (known of the copy that a cluster runs, else
    None), and a hash of the package's sources, which also sees uncommitted changes."""
    package = Path(__file__).resolve().parent.parent
    copied = _snapshot(package.parent)
    commit = _commit(package.parent) if copied is None else copied.get("commit")
    dirty = None if copied is None else copied.get("dirty")
    return {"commit": commit, "dirty": dirty, "sources_sha256": _sources(package)}


def _snapshot(root: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((root / SNAPSHOT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _sources(package: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _commit(root: Path) -> str | None:
    """The checked-out commit, read from git's files: git itself may be missing on a compute node."""
    git = root / ".git"
    try:
        if git.is_file():  # a worktree
            git = (root / git.read_text().removeprefix("gitdir:").strip()).resolve()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref:"):
            return head
        reference = head.removeprefix("ref:").strip()
        common = git / (git / "commondir").read_text().strip() if (git / "commondir").exists() else git
        if (common / reference).exists():
            return (common / reference).read_text().strip()
        packed = re.search(
            rf"^([0-9a-f]{{40}}) {re.escape(reference)}$", (common / "packed-refs").read_text(), re.MULTILINE
        )
        return packed[1] if packed else None
    except OSError:
        return None


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
