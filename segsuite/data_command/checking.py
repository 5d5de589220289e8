"""`segsuite data check`: every file of a dataset, read once."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from segsuite.data_command.reading import reading
from segsuite.data_command.targets import Target
from segsuite.datasets.audit import Audit, audit
from segsuite.datasets.consistency import inconsistencies
from segsuite.datasets.overview import open_splits
from segsuite.errors import ConfigError, DataError, SegsuiteError
from segsuite.launch.check import data_problems
from segsuite.launch.check_plan import problems


@dataclass(frozen=True)
class Checked:
    """A dataset, what reading each of its splits found, and why other splits are not there."""

    target: Target
    audits: Sequence[Audit]
    missing: dict[str, str]

    @property
    def problems(self) -> list[SegsuiteError]:
        """All samples that cannot be used, and what is wrong with them together; for an experiment, also what it needs
        and what its settings do not fit."""
        return [*(problem for one in self.audits for problem in one.problems), *self.of_all]

    @property
    def of_all(self) -> list[SegsuiteError]:
        """What is wrong beside single samples."""
        experiment, used = self.target.experiment, self.target.used
        if experiment is None or used is None:
            return list(inconsistencies(self.audits))
        in_use = [one for one in self.audits if one.split in used.splits]
        found = [
            *problems(experiment, used.trials, headers=False),
            *data_problems(experiment, used, in_use),
        ]
        return list({(one.what, one.where): one for one in found}.values())

    def raise_if_bad(self) -> None:
        """Raises one error that lists the first problems of each split and what else is wrong, if there are any."""
        bad: list[SegsuiteError] = []
        for one in self.audits:
            try:
                one.raise_if_bad()
            except DataError as error:
                bad.append(error)
        bad += self.of_all
        if bad:
            raise ConfigError.of(bad)

    def to_json(self) -> dict[str, Any]:
        """Everything by name."""
        splits = {
            one.split: {
                "images": len(one.names),
                "sizes": _sizes(one),
                "void_pixels": one.void_pixels,
                "problems": [_told(each) for each in one.problems],
            }
            for one in self.audits
        }
        found = {"name": self.target.name, "settings": self.target.options, "splits": splits, "missing": self.missing}
        return found | {"problems": [_told(each) for each in self.of_all]}


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


def _told(error: SegsuiteError) -> dict[str, str]:
    return {"what": error.what, "where": error.where, "to_do": error.advice}


def _sizes(one: Audit) -> dict[str, int]:
    """Height x width -> images, the most frequent first; what could not be read has none."""
    counted = Counter(f"{height}x{width}" for height, width in one.sizes.tolist() if height)
    return dict(counted.most_common())
