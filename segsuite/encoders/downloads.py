"""Fetching the files of ImageNet weights: by a pinned revision or hash where there is one, and looked at each time they
are used, since a cache may be damaged.

segmentation-models-pytorch pins the revision of each file in its own versions; the names of torchvision's files hold
the first digits of their SHA-256; timm pins nothing. The cache of huggingface.co names a file by the SHA-256 that the
server told.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from torch import Tensor

from segsuite.encoders.weight_files import file_sha256
from segsuite.errors import ConfigError

IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.\w+$")
COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")


class Fetched(NamedTuple):
    """A file that was downloaded now or earlier: where it lies, what it is called in a manifest, and its SHA-256."""

    file: Path
    name: str
    sha256: str


def from_hub(repository: str, revision: str | None, *names: str) -> Fetched:
    """The first of `names` that a repository of huggingface.co holds. Raises ConfigError when the file is not the one
    that was asked for, and what huggingface_hub raises when it cannot be had."""
    for name in names[:-1]:
        try:
            return _from_hub(repository, revision, name)
        except LocalEntryNotFoundError:  # the server was not reached: it would not be for another name
            raise
        except EntryNotFoundError:
            continue
    return _from_hub(repository, revision, names[-1])


def _from_hub(repository: str, revision: str | None, name: str) -> Fetched:
    file = Path(hf_hub_download(repository, name, revision=revision, endpoint=os.environ.get("HF_ENDPOINT")))
    commit = file.parent.name  # .../snapshots/COMMIT/NAME, a link to .../blobs/SHA256
    if revision and COMMIT.fullmatch(revision) and commit != revision:
        raise ConfigError(
            f"the server gave revision {commit} of the encoder weights instead of {revision}",
            repository,
            "ask whoever keeps this mirror, or put the file into data/weights yourself",
        )
    sha256, blob = file_sha256(file), file.resolve()
    if SHA256.fullmatch(blob.name):
        check(blob, sha256, blob.name)
    return Fetched(file, f"{repository}@{commit}/{name}", sha256)


def from_url(url: str) -> Fetched:
    """The file at `url`, in torch's cache; the digits in its name begin its SHA-256. Raises ConfigError when they do
    not, RuntimeError or OSError when it cannot be had."""
    name = url.rpartition("/")[2]
    file = Path(torch.hub.get_dir(), "checkpoints", name)
    digits = IN_NAME.search(name)
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), digits[1] if digits else None, progress=False)
    sha256 = file_sha256(file)
    if digits:
        check(file, sha256, digits[1])
    return Fetched(file, name, sha256)


def check(file: Path, sha256: str, expected: str) -> None:
    """Raises ConfigError when `sha256` does not begin with the digits `expected`."""
    if not sha256.startswith(expected):
        raise ConfigError(
            f"the downloaded encoder weights are damaged: their SHA-256 is {sha256} and should begin with {expected}",
            str(file),
            "remove this file: it is fetched anew",
        )


def sha256_of_tensors(state: Mapping[str, Tensor]) -> str:
    """64 hex digits of tensors whose file is not known: of their names, types, shapes and bytes, by name."""
    digest = hashlib.sha256()
    for key, value in sorted(state.items()):
        digest.update(f"{key}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def of_smp(name: str) -> tuple[Fetched, Mapping[str, Any]]:
    """The file of an encoder of segmentation-models-pytorch, and what is known of it: `mean`, `std`."""
    repository, revision = pinned_by_smp(name)
    facts = from_hub(repository, revision, "config.json")
    return from_hub(repository, revision, "model.safetensors"), json.loads(facts.file.read_text(encoding="utf-8"))


def pinned_by_smp(name: str) -> tuple[str, str]:
    """Repository and revision of the ImageNet weights that smp has for its encoder `name`."""
    import segmentation_models_pytorch as smp

    told = smp.encoders.encoders[name]["pretrained_settings"]["imagenet"]
    return str(told["repo_id"]), str(told["revision"])


def of_timm(name: str) -> Fetched | None:
    """The file that timm has on huggingface.co for its model `name`; None when it has another place or form."""
    import timm

    told = timm.get_pretrained_cfg(name)
    if told is None or not told.hf_hub_id or told.hf_hub_filename:
        return None
    repository, _, revision = str(told.hf_hub_id).partition("@")
    return from_hub(repository, revision or None, "model.safetensors", "pytorch_model.bin")
