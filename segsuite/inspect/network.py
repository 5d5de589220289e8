"""`segsuite inspect TARGET`: what the command does. Imports torch only to compute."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsuite.errors import ConfigError, unknown_name
from segsuite.inspect.layers import Explained
from segsuite.inspect.progress import followed
from segsuite.inspect.targets import Request, Subject, resolve_target
from segsuite.report.gallery import check_out


@dataclass(frozen=True)
class Wishes:
    """The options of the command. size: (H, W) instead of that of the settings; batch: images of a training step; arm:
    the only one to explain; out: the page."""

    size: tuple[int, int] | None = None
    batch: int | None = None
    arm: str | None = None
    overrides: Sequence[str] = ()
    out: Path | None = None


@dataclass(frozen=True)
class Arm:
    """A subject, explained."""

    subject: Subject
    explained: Explained
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "arm": self.subject.name,
            "baseline": self.subject.is_baseline,
            "differences": self.subject.differences,
            "notes": list(self.subject.notes),
            "seconds": round(self.seconds, 3),
            **self.explained.to_json(),
        }


@dataclass(frozen=True)
class Answer:
    """What is shown."""

    request: Request
    arms: tuple[Arm, ...]

    @property
    def baseline(self) -> Arm | None:
        """What the other arms are compared with: the experiment's baseline, else its first arm; None for one arm."""
        if len(self.arms) < 2:
            return None
        return next((arm for arm in self.arms if arm.subject.is_baseline), self.arms[0])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "title": self.request.title,
            "kind": self.request.kind,
            "question": self.request.question,
            "arms": [arm.to_json() for arm in self.arms],
        }


def inspect(target: str, wishes: Wishes) -> Answer:
    """Explains what `target` names, and writes the page if one is wished for; a bar on standard error while that is a
    terminal. Raises ConfigError, before anything is computed for all that can be known by then."""
    if wishes.out is not None:
        check_out(wishes.out)
    request = resolve_target(target, wishes.size, wishes.batch, wishes.overrides)
    subjects = _chosen(request, wishes.arm)
    answer = Answer(request, tuple(explain_subject(subject) for subject in followed(subjects, lambda one: one.name)))
    if wishes.out is not None:
        from segsuite.inspect.page import write_page

        write_page(answer, wishes.out)
    return answer


def explain_subject(subject: Subject) -> Arm:
    """Raises ConfigError, with the arm, when its network cannot be built or does not take images of that size."""
    from segsuite.inspect.explain import build_outline, explain

    started = time.perf_counter()
    try:
        network = build_outline(subject.build)
        explained = explain(subject.name, network, subject.size, subject.channels, subject.training)
    except ConfigError as error:
        raise ConfigError(error.what, error.where or subject.name, error.advice) from error
    return Arm(subject, explained, time.perf_counter() - started)


def _chosen(request: Request, arm: str | None) -> Sequence[Subject]:
    if arm is None:
        return request.subjects
    names = [subject.name for subject in request.subjects]
    if arm not in names:
        raise ConfigError(unknown_name("arm", arm, names), "--arm", "`segsuite plan` lists the arms")
    return [subject for subject in request.subjects if subject.name == arm]
