"""What ran, what is missing, and what about the trials should make a reader careful."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from segsuite.errors import plural
from segsuite.io.store import STATES
from segsuite.report.answers import listed
from segsuite.report.gather import Gathered, TrialRecord, number, same_images
from segsuite.report.made_differently import made_differently
from segsuite.report.sections.base import Material

BAD = ("failed", "damaged", "unreadable")
SYMBOLS = {"finished": "\N{CHECK MARK}", "running": "\N{BLACK RIGHT-POINTING TRIANGLE}", "failed": "\N{BALLOT X}"}
SYMBOLS |= {"damaged": "\N{BALLOT X}", "unreadable": "\N{BALLOT X}"}


@dataclass(frozen=True)
class Mark:
    """One trial in the grid of arms and seeds."""

    state: str
    symbol: str
    text: str


@dataclass(frozen=True)
class Failure:
    """A trial that ended with an error, and where its log is, within the experiment's folder."""

    arm: str
    seed: int
    reason: str
    log: str


@dataclass(frozen=True)
class Overview:
    """`alarm`: one sentence about what is missing, empty when nothing is; `notices`: what may mislead."""

    facts: Sequence[str]
    alarm: str
    is_alarming: bool
    notices: Sequence[str]
    grid: Sequence[tuple[str, str, Sequence[Mark]]]
    failures: Sequence[Failure]


def overview(material: Material) -> Overview:
    """The overview of all trials."""
    gathered = material.gathered
    counts = {state: sum(trial.state == state for trial in gathered.trials) for state in STATES}
    missing = [f"{count} {_word(state)}" for state, count in counts.items() if count and state != "finished"]
    total = len(gathered.trials)
    without = f"{total - counts['finished']} of {plural(total, 'trial')} {'has' if total == 1 else 'have'} no result"
    alarm = f"{without}: {listed(missing)}." if missing else ""
    grid = [
        (
            material.styles[arm].name + (" (baseline)" if arm == gathered.baseline else ""),
            material.styles[arm].colour,
            [_mark(trial) for trial in gathered.of(arm)],
        )
        for arm in gathered.arms
    ]
    failures = [
        Failure(material.styles[trial.arm].name, trial.seed, trial.reason, f"{trial.id}/log.txt")
        for trial in gathered.trials
        if trial.state in BAD
    ]
    notices = list(_notices(material))
    return Overview(_facts(gathered), alarm, any(counts[state] for state in BAD), notices, grid, failures)


def _word(state: str) -> str:
    return {"new": "not started", "unfinished": "stopped", "unreadable": "not readable"}.get(state, state)


def _mark(trial: TrialRecord) -> Mark:
    score = trial.score("miou")
    epochs = f"{len(trial.events)}/{trial.settings.train.epochs}"
    text = {
        "finished": ("-" if score is None else f"{score:.3f}")
        + "*" * bool(trial.smaller_batches)
        + " (other data)" * trial.other_data,
        "running": f"epoch {epochs}",
        "unfinished": f"stopped {epochs}",
        "failed": "failed",
        "damaged": "damaged",
        "unreadable": "not readable",
        "new": "not started",
    }[trial.state]
    return Mark(trial.state, SYMBOLS.get(trial.state, ""), text)


def _facts(gathered: Gathered) -> list[str]:
    arms, seeds = plural(len(gathered.arms), "arm"), plural(len(gathered.seeds), "seed")
    facts = [f"{arms} \N{MULTIPLICATION SIGN} {seeds}"]
    facts.append(f"{len(gathered.finished)} of {plural(len(gathered.trials), 'trial')} finished")
    first = next((trial.result for trial in gathered.finished if trial.result), None)
    if first is not None:
        scored = first.get("scored", {})
        facts.append(f"scored on {scored.get('split', '?')}, {_images(scored.get('images'))}")
        facts.append(f"{scored.get('checkpoint', '?')} checkpoint")
        latest = max(number(trial.result.get("finished")) or 0.0 for trial in gathered.finished if trial.result)
        facts.append(f"last result {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(latest))}")
    return facts


def _images(count: object) -> str:
    return plural(count, "image") if isinstance(count, int) else "? images"


def _notices(material: Material) -> Iterable[str]:
    gathered = material.gathered
    results = [trial.result for trial in gathered.finished if trial.result]
    for key, what in (("split", "splits"), ("checkpoint", "kinds of checkpoint"), ("dataset_fingerprint", "data")):
        found = list(dict.fromkeys(str(result.get("scored", {}).get(key)) for result in results))
        if len(found) > 1:
            yield f"Trials were scored on different {what}: {listed(found)}. Their scores should not be compared."
    others = [trial for trial in gathered.trials if trial.other_data]
    if others:
        shown = listed([f"{material.styles[trial.arm].name} seed {trial.seed}" for trial in others])
        yield (
            "The images or masks have changed between trials. Those that saw others than most are in no mean and in no "
            f"comparison: {shown}. Remove their run directories and run the experiment again, to train them anew."
        )
    if any(result.get("scored", {}).get("split") == "train" for result in results):
        yield "Scored on images that were trained on: these scores say nothing about other images."
    if any(result.get("scored", {}).get("checkpoint") == "best" for result in results) and any(
        result.get("scored", {}).get("split") == "val" for result in results
    ):
        yield "The checkpoint was chosen on the split that it is scored on, so that scores are somewhat too high."
    reference = gathered.reference
    left_out = [
        trial
        for trial in gathered.finished
        if trial.counted is None or (reference is not None and not same_images(trial.counted, reference))
    ]
    if left_out:
        shown = listed([f"{material.styles[trial.arm].name} seed {trial.seed}" for trial in left_out])
        yield f"In no comparison, because counts.npz is missing, damaged or of other images: {shown}."
    damaged = [trial for trial in gathered.trials if trial.damaged]
    if damaged:
        shown = listed([f"{material.styles[t.arm].name} seed {t.seed} ({', '.join(t.damaged)})" for t in damaged], 20)
        yield f"Damaged files were left out, and with them what they would have shown: {shown}."
    yield from made_differently(gathered, {arm: style.name for arm, style in material.styles.items()})
    precisions = list(dict.fromkeys(str(result.get("precision")) for result in results))
    if len(precisions) > 1:
        yield f"Trials were trained in different precisions: {listed(precisions)}."
    smaller = [trial for trial in gathered.finished if trial.smaller_batches]
    if smaller:
        shown = listed([f"{material.styles[t.arm].name} seed {t.seed} ({t.smaller_batches})" for t in smaller])
        yield (
            f"The memory was too small for the batches of {shown}; with smaller ones, marked *, batch normalisation "
            "sees other statistics, and the scores are not those of the same training."
        )
    if gathered.strangers:
        yield (
            f"{gathered.strangers} more run director{'ies' if gathered.strangers > 1 else 'y'} in the folder belong to "
            "other settings than the experiment has now, and are not in this report."
        )
