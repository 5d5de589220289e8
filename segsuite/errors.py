"""Errors a user can act on, and the exit codes of the command line.

Each error says what went wrong, where (file:line, file name or trial) and what to do, one sentence each; the command
line prints these three and no traceback. Any other exception is a defect of the suite and keeps its traceback.
"""

import difflib
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_WRONG_USE = 2
EXIT_PREEMPTED = 75
EXIT_SMALLER_BATCH = 77
EXIT_CLAIMED = 79  # of a trial under a launcher: another process runs it
EXIT_RETRY_ALONE = 78
EXIT_NO_READER = 141  # what a shell calls a program that SIGPIPE ended


class SegsuiteError(Exception):
    """Base of all errors that are shown without a traceback.

    `what`, `where` and `advice` are one sentence each; `where` and `advice` may be empty.
    """

    exit_code = EXIT_FAILED
    parts: "tuple[SegsuiteError, ...]" = ()
    """The single problems of an error that lists several."""

    def __init__(self, what: str, where: str = "", advice: str = "") -> None:
        self.what, self.where, self.advice = what, where, advice
        super().__init__(what, where, advice)

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.advice:
            lines.append(f"  to do: {self.advice}")
        return "\n".join(lines)


class ConfigError(SegsuiteError):
    """A setting, a name or a YAML file is wrong."""

    exit_code = EXIT_WRONG_USE

    @classmethod
    def of(cls, problems: "Iterable[SegsuiteError]") -> "SegsuiteError":
        """One error that lists all problems, each once and with its place; a single problem stays as it is."""
        single = [part for problem in problems for part in problem.parts or (problem,)]
        parts = list({(part.what, part.where): part for part in single}.values())
        if len(parts) == 1:
            return parts[0]
        listed = "".join(f"\n  - {part.what}" + (f" ({part.where})" if part.where else "") for part in parts)
        advice = "; ".join(dict.fromkeys(part.advice.rstrip(".") for part in parts if part.advice))
        error = cls(f"{len(parts)} things are wrong:{listed}", advice=advice)
        error.parts = tuple(parts)
        return error


class Problems:
    """Collects ConfigErrors, so that all of them are told at once and not one a call."""

    def __init__(self) -> None:
        self._found: list[ConfigError] = []

    def attempt(self, instead: T, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` returns, or `instead` when it raises a ConfigError, which is kept."""
        try:
            return function(*args, **kwargs)
        except ConfigError as error:
            self._found.append(error)
            return instead

    def raise_all(self) -> None:
        """Raises one ConfigError with everything that was kept, if anything was."""
        if self._found:
            raise ConfigError.of(self._found) from None


class DataError(SegsuiteError):
    """An image, a mask or a dataset folder is missing, damaged or not what the settings say."""

    exit_code = EXIT_WRONG_USE


class ClaimError(SegsuiteError):
    """Another process holds the right to run this trial."""


class NonFiniteError(SegsuiteError):
    """A loss, a gradient or logits became NaN or infinite; raised before the optimizer step."""


class Preempted(SegsuiteError):
    """The trial was asked to stop, saved a checkpoint and can be resumed."""

    exit_code = EXIT_PREEMPTED


class OutOfMemory(SegsuiteError):
    """The memory of the device, or of the machine, was too small for what the settings ask."""


class SmallerBatch(OutOfMemory):
    """The same, and the next attempt will take smaller batches: smaller_batch.json is written."""

    exit_code = EXIT_SMALLER_BATCH


class RetryAlone(OutOfMemory):
    """The same, beside other trials of this launcher: the next attempt has the memory for itself, and nothing of the
    trial is changed."""

    exit_code = EXIT_RETRY_ALONE


def nearest(name: str, valid: Iterable[str], likeness: float = 0.6) -> str | None:
    """The valid name most like `name` without regard to case, or that begins with it, or None when none is near:
    `likeness` is difflib's ratio, which for short words is better higher.

    >>> nearest("bilinar_conv", ["bilinear_conv", "nearest_conv"])
    'bilinear_conv'
    """
    spelling = {other.lower(): other for other in valid}
    matches = difflib.get_close_matches(name.lower(), spelling, n=1, cutoff=likeness)
    if not matches and len(name) > 1:
        matches = [other for other in spelling if other.startswith(name.lower())]
    return spelling[matches[0]] if matches else None


def plural(count: int, noun: str) -> str:
    """A number with its noun.

    >>> plural(1, "trial"), plural(2, "trial"), plural(2, "class")
    ('1 trial', '2 trials', '2 classes')
    """
    return f"{count} {noun}{('es' if noun.endswith('s') else 's') * (count != 1)}"


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> str:
    """One sentence for a name that is not in a table: the name, the nearest valid one, all valid ones.

    >>> unknown_name("profile", "big", [])
    "unknown profile 'big': there are none"
    >>> unknown_name("loss", "cros_entropy", ["cross_entropy"])
    "unknown loss 'cros_entropy'; did you mean 'cross_entropy'? valid: cross_entropy"
    """
    names = sorted(valid)
    if not names:
        return f"unknown {kind} '{name[:80]}': there are none"
    near = nearest(name, names)
    hint = f"; did you mean '{near}'?" if near else ";"
    shown = ", ".join(names) if len(names) <= 30 else ", ".join(names[:30]) + f", ... ({len(names)} in all)"
    return f"unknown {kind} '{name[:80]}'{hint} valid: {shown}"
