"""What SLURM was asked, kept on disk: all terminals that look at an experiment ask it once in a while together.

SLURM's controller serves everybody at the site, and its manuals forbid to call it in loops. So an answer is good for
`every` seconds, and when there is none the next question comes after twice as long, each time, up to `longest`.
"""

import contextlib
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from segsuite.errors import SegsuiteError
from segsuite.io import atomic, store


@dataclass(frozen=True)
class Answer:
    """The last answer, when it was given, and why there is no newer one."""

    text: str = ""
    time: float | None = None  # Unix time; None: there has been no answer
    problem: str = ""  # why the last question has none

    @property
    def age(self) -> float | None:
        """Seconds since the answer."""
        return None if self.time is None else max(0.0, time.time() - self.time)


def ask(path: Path, program: str, question: Callable[[], str], every: float, longest: float) -> Answer:
    """The answer in `path`, or that of `question`, which calls `program`, when it is time to ask again; a refusal is
    told in the answer.

    A folder that cannot be written to, such as that of somebody else's experiment, keeps none: each look asks then.
    """
    kept = store.read_json(path) or {}
    answer = Answer(str(kept.get("text", "")), kept.get("time"), str(kept.get("problem", "")))
    if shutil.which(program) is None:  # a laptop that sees the folder: those on the login node must not wait for it
        return replace(answer, problem=f"there is no program {program} on this machine")
    refusals = int(kept.get("refusals", 0))
    if 0 <= time.time() - float(kept.get("asked", 0.0)) < min(longest, every * 2**refusals):
        return answer
    _keep(path, answer, refusals)  # before it is asked, too: a second terminal does not ask while SLURM thinks
    try:
        answer, refusals = Answer(question(), time.time()), 0
    except SegsuiteError as error:
        answer, refusals = replace(answer, problem=error.what), min(refusals + 1, 20)
    _keep(path, answer, refusals)
    return answer


def _keep(path: Path, answer: Answer, refusals: int) -> None:
    with contextlib.suppress(SegsuiteError):
        atomic.write_json(path, {"asked": time.time(), "refusals": refusals, **asdict(answer)})
