"""`python -m segsuite.encoders.present NAME...`: the files of encoders' ImageNet weights on this machine, as JSON.

An encoder whose weights would have to be downloaded has null; nothing is downloaded here.
"""

import json
import sys
from pathlib import Path

import torch
from huggingface_hub import try_to_load_from_cache

from segsuite.encoders.downloads import pinned_by_smp
from segsuite.encoders.table import row_of
from segsuite.encoders.weights import find_local


def present(name: str) -> str | None:
    """The local file of an encoder's ImageNet weights, or the one that its library has in its cache; None when there
    is none, or when the encoder is not in the table and none is local."""
    local, row = find_local(name), row_of(name)
    if local is not None:
        return str(local)
    if row is None:
        return None
    if row.library == "torchvision":
        cached = Path(torch.hub.get_dir(), "checkpoints", row.source)
        return str(cached) if cached.exists() else None
    revision = pinned_by_smp(name)[1] if row.library == "smp" else None
    found = try_to_load_from_cache(row.source, "model.safetensors", revision=revision)
    return found if isinstance(found, str) else None


if __name__ == "__main__":
    print(json.dumps({name: present(name) for name in sys.argv[1:]}))
