"""Records an attempt, and warns when it goes on with other code, packages or weights than those before it."""

from collections.abc import Mapping
from typing import Any

from segsuite.io import manifest, provenance, trial_warnings
from segsuite.io.store import RunDirectory


def record_attempt(run: RunDirectory, described: Mapping[str, Any]) -> None:
    """Writes the manifest of the attempt that starts now. Where it goes on from a checkpoint, and something is not as
    in the attempt before, that is a warning of the trial: no one version has made its weights.

    Other data are no matter of a warning: `trial.data.refuse_other_data` refuses them.
    """
    run.check_claim()
    continues = run.last_checkpoint.exists()
    earlier = manifest.of_result(manifest.attempts(run.folder)) if continues else []
    manifest.add(run.folder, described, continues)
    changed = provenance.changes(earlier[-1], described) if earlier else []
    if changed:
        began = earlier[-1].get("started", "an unknown time")
        trial_warnings.note(
            run.folder,
            f"goes on with something else than its attempt of {began}: {'; '.join(changed)}",
            lasting=True,
        )
