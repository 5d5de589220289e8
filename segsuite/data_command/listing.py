"""`segsuite data list`: the datasets by name."""

import importlib
from typing import Any

from rich.table import Table

from segsuite.config import validate
from segsuite.data_command.targets import ANY_MODEL
from segsuite.datasets import DATASETS
from segsuite.datasets.overview import open_splits
from segsuite.errors import SegsuiteError


def listing() -> list[dict[str, Any]]:
    """Of each dataset: its name, what it is, the images of the splits that are at its usual place, or why none is."""
    return [_described(name) for name in DATASETS]


def listing_table(found: list[dict[str, Any]]) -> Table:
    """The same as a table."""
    table = Table(box=None, pad_edge=False)
    for title in ("name", "what", "here"):
        table.add_column(title, overflow="fold", no_wrap=title == "name")
    for one in found:
        splits = ", ".join(f"{split} {images}" for split, images in one["splits"].items())
        table.add_row(one["name"], one["what"], splits or one["missing"])
    return table


def _described(name: str) -> dict[str, Any]:
    module = importlib.import_module(DATASETS[name].partition(":")[0])
    what = " ".join((module.__doc__ or "").split("\n\n")[0].split())
    splits: dict[str, int] = {}
    missing = ""
    try:
        data = validate({"data": {"name": name}, "model": ANY_MODEL}, lambda path: "").data
        datasets, _ = open_splits(name, data.model_dump(exclude={"name"}))
        splits = {split: len(dataset) for split, dataset in datasets.items()}
    except SegsuiteError as error:
        needs_settings = "is required" in error.what
        missing = "by settings: see data/README.md" if needs_settings else "not here: see data/README.md"
    return {"name": name, "what": what, "splits": splits, "missing": missing}
