"""Reads the transaction log of an offline run: blocks of 32 KiB as in a LevelDB log, each record a protobuf message.

wandb 0.31 has no public reader of its own; `wandb.sdk.internal.datastore` is gone.
"""

import json
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK = 32768
HEADER = struct.Struct("<IHB")  # checksum, length, type
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class OfflineRun:
    """What a log says. `exit_code` is None when the writer was killed."""

    id: str = ""
    project: str = ""
    entity: str = ""
    name: str = ""
    group: str = ""
    job_type: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    output: list[str] = field(default_factory=list)
    exit_code: int | None = None
    preempting: bool = False


def read(path: Path) -> OfflineRun:
    """The run in a log, or in a run folder of wandb. What stands behind a torn record is not there."""
    path = next(path.glob("run-*.wandb")) if path.is_dir() else path
    run = OfflineRun()
    for content in _records(path.read_bytes()):
        record = Record()
        record.ParseFromString(content)
        _apply(record, run)
    run.config.pop("_wandb", None)
    return run


def wait(path: Path, seconds: float = 15.0) -> OfflineRun:
    """As `read`, once the end of the run is in it: `finish` can return before the log is complete."""
    end = time.monotonic() + seconds
    while (run := read(path)).exit_code is None and time.monotonic() < end:
        time.sleep(0.05)
    return run


def folders(trial: Path) -> list[Path]:
    """The offline runs of a trial, oldest first."""
    return sorted((trial / "wandb").glob("offline-run-*"))


def _records(content: bytes) -> Iterator[bytes]:
    magic, version = struct.unpack_from("<4sH", content)[0], content[6:7]
    if magic != b":W&B" or version != b"\0":
        raise ValueError("this is no log of W&B")
    at, part = 7, b""
    while True:
        if BLOCK - at % BLOCK < HEADER.size:
            at += BLOCK - at % BLOCK
        if at + HEADER.size > len(content):
            return
        checksum, length, kind = HEADER.unpack_from(content, at)
        data = content[at + HEADER.size : at + HEADER.size + length]
        if kind not in (FULL, FIRST, MIDDLE, LAST) or len(data) < length:
            return
        if zlib.crc32(data, zlib.crc32(bytes([kind]))) != checksum:
            return
        at += HEADER.size + length
        part = data if kind in (FULL, FIRST) else part + data
        if kind in (FULL, LAST):
            yield part


def _apply(record: Any, run: OfflineRun) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "run":
        told = record.run
        run.id, run.project, run.entity, run.name = told.run_id, told.project, told.entity, told.display_name
        run.group, run.job_type, run.tags = told.run_group, told.job_type, list(told.tags)
        _merge(run.config, _values(told.config.update))
    elif kind == "config":
        _merge(run.config, _values(record.config.update))
    elif kind == "history":
        run.history.append(_values(record.history.item))
    elif kind == "summary":
        _merge(run.summary, _values(record.summary.update))
    elif kind == "files":
        run.files += [file.path for file in record.files.files]
    elif kind == "artifact":
        contents = [(entry.path, entry.local_path) for entry in record.artifact.manifest.contents]
        run.artifacts.append(
            {
                "name": record.artifact.name,
                "type": record.artifact.type,
                "contents": contents,
                "used": record.artifact.use_after_commit,
            }
        )
    elif kind in ("output", "output_raw"):
        run.output.append(getattr(record, kind).line)
    elif kind == "preempting":
        run.preempting = True
    elif kind == "exit":
        run.exit_code = record.exit.exit_code


def _values(items: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for item in items:
        *parents, last = list(item.nested_key) or [item.key]
        at = values
        for parent in parents:
            at = at.setdefault(parent, {})
        at[last] = json.loads(item.value_json)
    return values


def _merge(target: dict[str, Any], update: dict[str, Any]) -> None:
    for key, value in update.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value
