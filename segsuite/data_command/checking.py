"""`segsuite data check`: every file of a dataset, read once."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from segsuite.data_command.reading import reading
from segsuite.data_command.targets import Target
from segsuite.datasets.audit import Audit, audit
from segsuite.datasets.overview import open_splits
from segsuite.errors import DataError


@dataclass(frozen=True)
class Checked:
    """A dataset, what reading each of its splits found, and why other splits are not there."""

    target: Target
    audits: Sequence[Audit]
    missing: dict[str, str]

    @property
    def problems(self) -> list[DataError]:
        """All samples that cannot be used."""
        return [problem for one in self.audits for problem in one.problems]

    def raise_if_bad(self) -> None:
        """Raises one DataError that lists the first problems of each split, if there are any."""
        bad = []
        for one in self.audits:
            try:
                one.raise_if_bad()
            except DataError as error:
                bad.append(error)
        if bad:
            raise DataError("\n".join(error.what for error in bad), bad[0].where, bad[0].advice)

    def to_json(self) -> dict[str, Any]:
        """Everything by name."""
        splits = {
            one.split: {
                "images": len(one.names),
                "sizes": _sizes(one),
                "void_pixels": one.void_pixels,
                "problems": [{"what": each.what, "where": each.where, "to_do": each.advice} for each in one.problems],
            }
            for one in self.audits
        }
        return {"name": self.target.name, "settings": self.target.options, "splits": splits, "missing": self.missing}


def check(targets: Sequence[Target]) -> list[Checked]:
    """Reads every sample of every split that is there, anew: what was found earlier does not count."""
    found = []
    for target in targets:
        datasets, missing = open_splits(target.name, target.options)
        with reading(target.title) as tell:
            audits = [audit(dataset, tell(split)) for split, dataset in datasets.items()]
        found.append(Checked(target, audits, missing))
    return found


def check_table(found: Sequence[Checked]) -> Table:
    """A row a split."""
    table = Table(box=None, pad_edge=False)
    for title in ("dataset", "split", "images", "height x width", "result"):
        table.add_column(title, justify="right" if title == "images" else "left", overflow="fold")
    for one in found:
        for split in one.audits:
            sizes = list(_sizes(split))
            shown = ", ".join(sizes[:3]) + (f" and {len(sizes) - 3} more" if len(sizes) > 3 else "")
            bad = len(split.problems)
            result = f"{bad} cannot be used" if bad else "all can be used"
            table.add_row(one.target.title, split.split, str(len(split.names)), shown, result)
        for name, why in one.missing.items():
            table.add_row(one.target.title, name, "-", "-", f"not there: {why}")
    return table


def _sizes(one: Audit) -> dict[str, int]:
    """Height x width -> images, the most frequent first; what could not be read has none."""
    counted = Counter(f"{height}x{width}" for height, width in one.sizes.tolist() if height)
    return dict(counted.most_common())
