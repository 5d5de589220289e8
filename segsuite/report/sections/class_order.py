"""The classes of the scored split from the most frequent to the rarest, with their shares and groups."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from segsuite.io.numbers import percent
from segsuite.metrics.groups import FREQUENCY_GROUPS
from segsuite.report.gather import TrialRecord, number
from segsuite.report.sections.base import Material
from segsuite.report.style import inert


@dataclass(frozen=True)
class ClassOrder:
    """Classes that occur in the labels of the scored split, by their share of the training pixels where the trials
    tell it, else of the scored ones. Everything is in this order."""

    names: tuple[str, ...]
    places: tuple[int, ...]
    """Their ids."""
    scored: tuple[float, ...]
    """Share of the labelled pixels of the scored split."""
    training: tuple[float, ...] | None
    """The same of the training split, of the first trial that has it."""
    groups: tuple[str, ...] | None
    """head, body or tail of each."""
    absent: tuple[str, ...]
    """The classes that do not occur."""

    @property
    def ticks(self) -> list[str]:
        """Name and share of each class, as plotly's small HTML."""
        shares = self.scored if self.training is None else self.training
        return [f"{inert(name)}<br>{percent(share)}" for name, share in zip(self.names, shares, strict=True)]

    @property
    def told(self) -> str:
        """For captions: what the order and the percentages are."""
        which = "scored" if self.training is None else "training"
        return f"Classes by frequency; percentages: share of the labelled {which} pixels."


def class_order(material: Material) -> ClassOrder | None:
    """None when no trial has counts, or no class occurs."""
    reference = material.gathered.reference
    if reference is None:
        return None
    pixels = reference.label_pixels().sum(axis=0)
    present = [place for place in np.argsort(-pixels, kind="stable").tolist() if pixels[place] > 0]
    if not present:
        return None
    shares, groups = _of_training(material, tuple(reference.classes[place] for place in present))
    if shares is not None:
        present.sort(key=lambda place: -shares[reference.classes[place]])
    names = tuple(reference.classes[place] for place in present)
    return ClassOrder(
        names,
        tuple(present),
        tuple(float(pixels[place] / pixels.sum()) for place in present),
        None if shares is None else tuple(shares[name] for name in names),
        None if groups is None else tuple(groups[name] for name in names),
        tuple(name for place, name in enumerate(reference.classes) if not pixels[place]),
    )


def _of_training(
    material: Material, names: tuple[str, ...]
) -> tuple[Mapping[str, float] | None, Mapping[str, str] | None]:
    """Class -> share, and class -> group, of the first trial that has them for all `names`."""
    for trial in material.gathered.finished:
        found = {name: number(trial.within("groups", "training_share", name)) for name in names}
        shares = {name: share for name, share in found.items() if share is not None}
        if len(shares) == len(names):
            groups = _groups(trial)
            return shares, groups if set(names) <= set(groups) else None
    return None, None


def _groups(trial: TrialRecord) -> dict[str, str]:
    found: dict[str, str] = {}
    for group in FREQUENCY_GROUPS:
        members = trial.within("groups", "frequency", group, "classes")
        if isinstance(members, list):
            found |= {str(name): group for name in members}
    return found
