"""How SLURM's own records say that tasks ended, where the site keeps some: one call of sacct."""

from collections.abc import Sequence

from segsuite.errors import SegsuiteError
from segsuite.launch.slurm.command import call

MOST_TASKS = 200  # in one question
PATIENCE_SECONDS = 15.0
MEANINGS = {
    "OUT_OF_MEMORY": "more memory than the job had: raise `mem` of the profile",
    "TIMEOUT": "the time limit came before it had saved: raise `signal_seconds` of the profile",
    "NODE_FAIL": "its node died",
    "BOOT_FAIL": "its node did not start",
    "PREEMPTED": "a job of higher priority took its place",
    "CANCELLED": "somebody cancelled it",
    "DEADLINE": "it could not end before its deadline",
}


def endings(tasks: Sequence[str]) -> dict[str, str]:
    """The last state of each task `JOB_INDEX` that sacct knows, with what it means; empty where sacct is off."""
    if not tasks:
        return {}
    words = ["sacct", "--allocations", "--duplicates", "--noheader", "--parsable2", "--format=JobID,State"]
    try:
        listing = call([*words, f"--jobs={','.join(tasks[:MOST_TASKS])}"], PATIENCE_SECONDS)
    except SegsuiteError:
        return {}
    return states_in(listing)


def states_in(listing: str) -> dict[str, str]:
    """
    >>> states_in("7_1|NODE_FAIL\\n7_1|OUT_OF_MEMORY\\n7_2|CANCELLED by 0\\n7_3|COMPLETED\\n")
    {'7_1': 'OUT_OF_MEMORY: more memory than the job had: raise `mem` of the profile', \
'7_2': 'CANCELLED: somebody cancelled it', '7_3': 'COMPLETED'}
    """
    found = {}
    for line in listing.splitlines():
        task, _, state = line.partition("|")
        word = state.split()[0] if state.split() else ""
        found[task] = f"{word}: {MEANINGS[word]}" if word in MEANINGS else word
    return found
