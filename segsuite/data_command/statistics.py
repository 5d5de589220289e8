"""`segsuite data stats`: what the labels of a dataset hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from segsuite.data_command.reading import reading
from segsuite.data_command.striking import mismatch, percent, striking
from segsuite.data_command.targets import Target
from segsuite.datasets.mean_image import mean_image
from segsuite.datasets.overview import SMALL_AREA, DatasetOverview, overview
from segsuite.errors import ConfigError, plural
from segsuite.losses.class_weights import RULES, class_weights

SHOWN_RULES = ("median_frequency", "inverse_sqrt")
"""The weights on the terminal; JSON and page have those of all rules."""
MOST_SENTENCES = 4
SIDE = round(SMALL_AREA**0.5)


@dataclass(frozen=True, eq=False)
class Statistics:
    """A dataset, class weights by rule, and what is striking."""

    target: Target
    found: DatasetOverview
    weights: Mapping[str, Mapping[str, float]]
    sentences: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything by name; a mismatch that is infinite is null."""
        factors = {name: factor if factor < float("inf") else None for name, factor in mismatch(self.found).items()}
        return {
            "name": self.target.name,
            "settings": self.target.options,
            "splits": {split: one.to_json() for split, one in self.found.splits.items()},
            "missing": dict(self.found.missing),
            "class_weights": {rule: dict(weights) for rule, weights in self.weights.items()},
            "mismatch": factors,
            "striking": list(self.sentences),
        }


def statistics(target: Target) -> Statistics:
    """Reads every label of the dataset once; a second call reads what is kept. Raises DataError for a bad one."""
    with reading(target.title) as tell:
        found = overview(target.name, target.options, tell)
    return Statistics(target, found, suggested_weights(found), tuple(striking(found)))


def suggested_weights(found: DatasetOverview) -> dict[str, dict[str, float]]:
    """Rule -> class -> weight from the training split, as `loss.class_weights: RULE` gives it."""
    counts = found.first.counts
    weights = {}
    for rule in RULES:
        try:
            numbers = class_weights(counts.pixels_C, rule, counts.present_pixels_C)
        except ConfigError:  # no labelled pixel at all
            continue
        weights[rule] = dict(zip(found.classes, numbers, strict=True))
    return weights


def statistics_table(one: Statistics) -> Group:
    """A row a class, the most frequent first, and under it what is striking."""
    found = one.found
    splits, first = found.splits, next(iter(found.splits))
    images = ", ".join(f"{split} {plural(len(each.dataset), 'image')}" for split, each in splits.items())
    table = Table(title=f"{one.target.title}: {images}", title_justify="left", box=None, pad_edge=False)
    table.add_column("class", overflow="fold")
    columns = [f"% of {split}" for split in splits] + [
        f"% of images ({first})",
        f"objects ({first})",
        "% in small ones",
    ]
    rules = [rule for rule in SHOWN_RULES if rule in one.weights]
    for title in [*columns, *(f"weight, {rule.replace('_', ' ')}" for rule in rules)]:
        table.add_column(title, justify="right")
    for place in found.order:
        name = found.classes[place]
        cells = [_bare(float(each.shares[place])) for each in splits.values()]
        there = found.first
        cells += [
            _bare(float(there.image_shares[place])),
            str(len(there.areas(place))),
            _bare(there.small_share(place)),
        ]
        cells += [f"{one.weights[rule][name]:.3g}" for rule in rules]
        table.add_row(Text(name), *cells)
    if any(each.void_share for each in splits.values()):
        table.add_row(Text("void"), *(_bare(each.void_share) for each in splits.values()))
    missing = [Text(f"no split {split}: {why}") for split, why in found.missing.items()]
    sentences = [Text(sentence) for sentence in one.sentences[:MOST_SENTENCES]]
    return Group(table, Text(f"small: below {SIDE} x {SIDE} pixels"), Text(), *sentences, *missing)


def write_statistics_page(one: Statistics, path: Path) -> None:
    """One HTML page with the table, figures and the mean image of each split."""
    from segsuite.report.data_page import write_data_page

    with reading(one.target.title) as tell:
        pictures = {
            split: mean_image(each.dataset, tell(f"{split}: mean image")) for split, each in one.found.splits.items()
        }
    write_data_page(one.target.name, one.found, one.weights, one.sentences, pictures, path)


def _bare(share: float) -> str:
    return percent(share).removesuffix(" %")
