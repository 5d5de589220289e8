"""Which finished trials were made by other code, packages, weights or devices than the others: what a difference
between arms may come from.

Other data are `report.same_data`'s: trials of those are in no mean.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from segsuite.errors import plural
from segsuite.io import provenance
from segsuite.report.answers import listed
from segsuite.report.gather import Gathered, TrialRecord

MOST_NAMED = 4
"""Trials, and packages, that a notice names; of more it tells the number."""
NOT_PACKAGES = ("code", "weights", "precision", "device")
Groups = dict[str, list[TrialRecord]]
"""How trials were made, in words -> those trials."""


def made_differently(gathered: Gathered, names: Mapping[str, str]) -> Iterable[str]:
    """A sentence for each thing that is not the same in all finished trials, or in all attempts of one. `names`: arm ->
    its name on the page."""
    known = [(trial, [provenance.facts(attempt) for attempt in trial.attempts]) for trial in gathered.finished]
    words: dict[str, str] = {}
    of_code = _groups((trial, _code(trial.attempts, words)) for trial, _ in known)
    if _differ(of_code):
        yield (
            f"Trials were made by different versions of the code: {_told(of_code, names)}. A difference between arms "
            "may come from the code. To make them anew by one version, remove their run directories and run again."
        )
    packages = list(dict.fromkeys(name for _, facts in known for one in facts for name in one))
    found = {
        name: _groups((trial, [one.get(name, "") for one in facts]) for trial, facts in known)
        for name in packages
        if name not in NOT_PACKAGES
    }
    differing = [f"{name} {_told(groups, names)}" for name, groups in found.items() if _differ(groups)]
    if differing:
        yield f"Trials were made with different versions of packages: {_some(differing, 'package', '; ')}."
    for of_weights in _by_setting(known).values():
        if _differ(of_weights):
            yield (
                f"Trials with the same setting of weights began from different ones: {_told(of_weights, names)}. Their "
                "difference may come from these weights."
            )
    devices = _groups((trial, [one.get("device", "") for one in facts]) for trial, facts in known)
    if _differ(devices):
        yield f"Trials ran on different devices: {_told(devices, names)}."


def _by_setting(known: Iterable[tuple[TrialRecord, list[dict[str, str]]]]) -> dict[tuple[str, str], Groups]:
    found: dict[tuple[str, str], list[tuple[TrialRecord, list[str]]]] = {}
    for trial, facts in known:
        model: Any = trial.settings.model
        key = (str(getattr(model, "encoder", "")), str(getattr(model, "weights", "")))
        found.setdefault(key, []).append((trial, [one.get("weights", "") for one in facts]))
    return {key: _groups(trials) for key, trials in found.items()}


def _code(attempts: Sequence[Mapping[str, Any]], words: dict[str, str]) -> list[str]:
    """The code of each attempt in words; the same sources have those of the first one, whatever the commit."""
    codes = [attempt.get("code") or {} for attempt in attempts]
    return [words.setdefault(provenance.code_key(code), provenance.code_in_words(code)) for code in codes]


def _groups(trials: Iterable[tuple[TrialRecord, list[str]]]) -> Groups:
    """Trials by what their attempts tell in turn; those that tell nothing are in none."""
    found: Groups = {}
    for trial, told in trials:
        in_turn = [text for text, _ in groupby(filter(None, told))]
        if in_turn:
            found.setdefault(", then ".join(in_turn), []).append(trial)
    return found


def _differ(groups: Groups) -> bool:
    return len(groups) > 1 or any(", then " in words for words in groups)


def _told(groups: Groups, names: Mapping[str, str]) -> str:
    """The largest group first, with its number of trials; of the others the trials are named."""
    largest, *others = sorted(groups.items(), key=lambda group: -len(group[1]))
    texts = [f"{largest[0]} ({plural(len(largest[1]), 'trial')})"]
    for words, trials in others:
        texts.append(f"{words} ({_some([f'{names[one.arm]} seed {one.seed}' for one in trials], 'trial')})")
    return listed(texts)


def _some(texts: Sequence[str], what: str, between: str = ", ") -> str:
    more = len(texts) - MOST_NAMED
    return between.join([*texts[:MOST_NAMED], *([plural(more, f"more {what}")] if more > 0 else [])])
