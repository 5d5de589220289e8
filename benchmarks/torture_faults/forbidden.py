"""A run directory that another user may not read, and folders that they may not write to."""

import os
import shutil
import subprocess
import sys

from segsuite.experiment import load
from segsuite.io import store
from segsuite.launch.freeze import freeze
from torture_faults import Row, Torture, environment
from torture_faults.small_trials import written

STRANGER = 65534


def main(torture: Torture) -> list[Row]:
    """Another user's looks and wishes at an experiment of which one run directory is nobody else's to read."""
    row = Row("a run directory that another user may not read (mode 700), and a folder that they may not write to")
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        row.not_tried = "needs a second user (root and setpriv)"
        return [row]
    folder = torture.place("forbidden")
    for above in (torture.folder.parent, torture.folder, folder):
        above.chmod(0o755)
    path = written(folder, 3)
    closed, finished, _ = (freeze(trial) for trial in load(path).trials)
    store.record_failure(closed, "Died", "of old age")
    (finished / "result.json").write_text("{}")
    closed.chmod(0o700)
    words = [
        "setpriv",
        f"--reuid={STRANGER}",
        f"--regid={STRANGER}",
        "--clear-groups",
        sys.executable,
        "-m",
        "segsuite",
    ]
    said = []
    for command, codes in (("status", (0, 1)), ("plan", (0,)), ("run", (2,)), ("retry", (2,)), ("report", (2,))):
        home = environment(HOME="/nonexistent", XDG_CACHE_HOME="/nonexistent", PYTHONDONTWRITEBYTECODE="1")
        done = subprocess.run([*words, command, str(path)], env=home, capture_output=True, text=True, check=False)
        row.tried += 1
        said.append(f"{command} {done.returncode}")
        if "Permission denied: " in done.stderr and "setpriv" in done.stderr:
            row.not_tried = "another user cannot run this Python"
            return [row]
        if "Traceback" in done.stderr or done.returncode not in codes:
            row.lose(f"{command} ended with {done.returncode}: {done.stderr[-300:]}")
    row.happened = f"a sentence each and no traceback; exit codes: {', '.join(said)}"
    return [row]
