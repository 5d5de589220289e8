"""Where the steps of a trial spend their time, measured in a process of its own."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segsuite.errors import SegsuiteError
from segsuite.experiment import Trial, load
from segsuite.launch.attempt import environment
from segsuite.launch.freeze import freeze
from segsuite.launch.slots import Slot


def profile_steps(path: Path, overrides: Sequence[str]) -> tuple[Trial, dict[str, Any]]:
    """The first trial of an experiment, and what `segsuite.trial.profile` says of it; no run directory is touched.

    Raises SegsuiteError when its steps fail.
    """
    with tempfile.TemporaryDirectory(prefix="segsuite-profile-") as folder:
        trial = load(path, [*overrides, f"runs_root={folder}"]).trials[0]
        command = [sys.executable, "-m", "segsuite.trial.profile", str(freeze(trial))]
        done = subprocess.run(command, env=environment(Slot()), capture_output=True, text=True, check=False)
    if done.returncode:
        why = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise SegsuiteError(f"the steps could not be timed: {why[0]}", trial.arm, "run the trial to see all of its log")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return trial, found
