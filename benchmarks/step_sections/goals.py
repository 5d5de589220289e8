"""What is aimed at, and whether it was met."""

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from section_records import Records

TABLE = "Goals"


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """How many times as long `slow` takes: the median over rounds that were timed in turn."""
    return statistics.median(one / other for one, other in zip(slow, fast, strict=True))


def at_least(records: "Records", what: str, measured: float, goal: float, why: str) -> None:
    """A row; `why` says what holds the figure where it is, and is shown when the goal was missed."""
    _add(records, what, measured, f"at least {goal:g}", measured >= goal, why)


def at_most(records: "Records", what: str, measured: float, goal: float, why: str) -> None:
    """A row, likewise."""
    _add(records, what, measured, f"at most {goal:g}", measured <= goal, why)


def _add(records: "Records", what: str, measured: float, goal: str, met: bool, why: str) -> None:
    records.add(TABLE, what, measured=measured, goal=goal, met="yes" if met else "no", **({} if met else {"why": why}))
