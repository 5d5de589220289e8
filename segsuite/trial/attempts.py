"""Records an attempt, and warns when it goes on with other code, packages or weights than those before it, or begins
from other weights than its neighbours."""

import os
import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from segsuite.io import manifest, provenance, trial_warnings
from segsuite.io.store import RunDirectory
from segsuite.train.callbacks import Report

MOST_NEIGHBOURS = 32
"""Run directories of the experiment that are looked at: to look at thousands costs a file server more than it tells."""


def record_attempt(run: RunDirectory, described: Mapping[str, Any], report: Report = lambda event: None) -> None:
    """Writes the manifest of the attempt that starts now. Where it goes on from a checkpoint, and something is not as
    in the attempt before, that is a warning of the trial: no one version has made its weights. So is a file of initial
    weights that is another one than a trial beside it began from.

    Other data are no matter of a warning: `trial.data.refuse_other_data` refuses them.
    """
    run.check_claim()
    continues = run.last_checkpoint.exists()
    earlier = manifest.of_result(manifest.attempts(run.folder)) if continues else []
    manifest.add(run.folder, described, continues)
    changed = provenance.changes(earlier[-1], described) if earlier else []
    if changed:
        began = earlier[-1].get("started", "an unknown time")
        text = f"continues its attempt of {began} with changes: {'; '.join(changed)}"
        _warn(run, text, report)
    if not continues and (other := _other_weights(run, described)):
        _warn(run, other, report)


def _warn(run: RunDirectory, text: str, report: Report) -> None:
    trial_warnings.note(run.folder, text, lasting=True)
    report({"phase": "warning", "warning": text})


def _other_weights(run: RunDirectory, described: Mapping[str, Any]) -> str:
    """Which neighbour began from another file of the same name; empty when none is known."""
    own = _by_name(described.get("weights"))
    if not own:
        return ""
    with os.scandir(run.folder.parent) as found:
        neighbours = sorted(entry.name for entry in islice(found, MOST_NEIGHBOURS) if entry.name != run.folder.name)
    for neighbour in neighbours:
        for record in manifest.attempts(run.folder.parent / neighbour)[-1:]:
            for name, digest in _by_name(record.get("weights")).items():
                if own.get(name, digest) != digest:
                    here, there = (f"{one[:12]}..." for one in (own[name], digest))
                    return (
                        f"began from other initial weights than {neighbour}: {name} has SHA-256 {here}, there {there}"
                    )
    return ""


def _by_name(weights: Any) -> dict[str, str]:
    """The hashes by the files' names without the revision that a hub gave them in."""
    found = weights if isinstance(weights, Mapping) else {}
    return {re.sub(r"@[^/]*", "", str(name)): str(digest) for name, digest in found.items()}
