"""The forms of what a profile hands on to sbatch and srun. Each value becomes one word of an argument list, which no
shell reads: what is refused is what sbatch refuses, and what could be taken for an option of another kind."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from segsuite.errors import unknown_name


def _as_text(value: Any) -> Any:
    """A number where a word is wanted: accounts and projects are often called by one."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _time(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


# Nothing that a shell, or sbatch's own reading of its options, could take for more than one word.
Word = Annotated[
    str, BeforeValidator(_as_text), Field(pattern=r"^[A-Za-z0-9./\[(][A-Za-z0-9._:,=+@/|&*()\[\]%~#!-]{0,199}$")
]
"""A plain word: a name, a list of names, an expression of names."""
Text = Annotated[str, BeforeValidator(_as_text), Field(pattern=r"^[^\x00-\x1f\x7f]{1,4000}$")]
"""Any printable text without a line break; it stays one word, whatever is in it."""
Time = Annotated[
    str,
    BeforeValidator(_time),
    Field(pattern=r"^(?:\d+-\d{1,4}(?::\d{1,2}){0,2}|\d{1,7}(?::\d{1,2}){0,2}|[Uu][Nn][Ll][Ii][Mm][Ii][Tt][Ee][Dd])$"),
]
"""Minutes, minutes:seconds, hours:minutes:seconds, days-hours[:minutes[:seconds]], or unlimited."""
Memory = Annotated[str, BeforeValidator(_time), Field(pattern=r"^\d+(?:[KMGTkmgt][Bb]?)?$")]
"""Megabytes, or a whole number with K, M, G or T, as sbatch takes it: 16G, 16GB, 64000; not 1.5G."""

FORMS = {
    "mem": "megabytes, or a whole number with K, M, G or T: 16G, 16GB, 64000",
    "time": 'minutes, "hours:minutes:seconds" or "days-hours:minutes:seconds": 240, "04:00:00", "1-12:00:00"',
}
"""What to write instead of a value that has no such form."""

FLAGS = (
    "contiguous", "no-requeue", "overcommit", "oversubscribe", "requeue", "spread-job", "use-min-nodes",
)  # fmt: skip
"""Options without a value: `true`."""
PERHAPS = ("exclusive", "get-user-env", "nice", "no-kill")
"""Options with or without one: `true`, or the value."""
VALUES = (
    "acctg-freq", "batch", "bb", "begin", "cluster-constraint", "comment", "core-spec", "cores-per-socket",
    "cpu-freq", "cpus-per-gpu", "deadline", "delay-boot", "distribution", "exclude", "export", "extra-node-info",
    "gid", "gpu-bind", "gpu-freq", "gpus", "gpus-per-socket", "gpus-per-task", "gres-flags", "hint", "licenses",
    "mail-type", "mail-user", "mcs-label", "mem-bind", "mem-per-cpu", "mem-per-gpu", "mincpus", "network", "nodefile",
    "nodelist", "ntasks-per-core", "ntasks-per-gpu", "ntasks-per-socket", "power", "prefer", "priority", "profile",
    "propagate", "reservation", "sockets-per-node", "switches", "thread-spec", "threads-per-core", "time-min", "tmp",
    "tres-per-task", "uid", "wait-all-nodes", "wckey",
)  # fmt: skip
"""Options that take a value."""
OURS = (
    "array", "chdir", "clusters", "dependency", "error", "input", "job-name", "kill-on-invalid-dep", "nodes", "ntasks",
    "ntasks-per-node", "open-mode", "output", "parsable", "test-only", "wait", "wrap",
)  # fmt: skip
"""Options of sbatch that the suite sets itself, and by which it finds its jobs again."""
PROFILES_OWN = {
    **{name: name for name in ("partition", "account", "qos", "constraint", "gres", "mem", "time", "cpus")},
    **dict.fromkeys(("gpus-per-node", "gpus_per_node"), "gpus_per_node"),
    **dict.fromkeys(("cpus-per-task", "cpus_per_task"), "cpus"),
    **dict.fromkeys(("signal", "signal_seconds"), "signal_seconds"),
}
"""Options that are keys of a profile, by what one may call them."""
OURS_IN_SHORT = {"a": "array", "D": "chdir", "M": "clusters", "d": "dependency", "e": "error", "i": "input",
                 "J": "job-name", "N": "nodes", "n": "ntasks", "o": "output", "W": "wait"}  # fmt: skip
FLAGS_IN_SHORT = "HhkOQsuvVXZ"
"""Options of one letter without a value, after which another may stand in the same word."""
OF_SRUN = ("export", "kill-on-bad-exit", "multi-prog", "ntasks", "ntasks-per-node", "nodes", "wait")
"""Those of srun."""


def _option_value(value: Any) -> Any:
    """True or one word of text; False leaves the option out."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str) and re.fullmatch(r"[^\x00-\x1f\x7f]{1,1000}", value):
        return value
    raise ValueError("must be a number, `true` or text of one line")


OptionValue = Annotated[Any, AfterValidator(_option_value)]


def check_options(options: dict[str, Any]) -> dict[str, Any]:
    """`options` of a profile, each known and with a value of its form. Raises ValueError."""
    for name, value in options.items():
        if name in OURS:
            raise ValueError(f"options.{name}: the suite sets this itself, and finds its jobs again by it")
        if name in PROFILES_OWN:
            written = "SECONDS" if name == "signal" else str(value).lower() if isinstance(value, bool) else value
            said = f"write `{PROFILES_OWN[name]}: {written}` of the profile itself"
            raise ValueError(f"options.{name}: the profile has a key for this: {said}")
        if name not in (*FLAGS, *PERHAPS, *VALUES):
            known = (*FLAGS, *PERHAPS, *VALUES)
            raise ValueError(f"options.{name}: {unknown_name('option of sbatch', name, known)}; others: `sbatch: []`")
        if name in FLAGS and not isinstance(value, bool):
            raise ValueError(f"options.{name}: this option takes no value, write `{name}: true`")
        if name in VALUES and isinstance(value, bool):
            raise ValueError(f"options.{name}: this option takes a value")
    return options


def option_words(options: dict[str, Any]) -> list[str]:
    """The words of sbatch for `options`.

    >>> option_words({"exclusive": True, "comment": "two words", "requeue": False, "nice": 5})
    ['--exclusive', '--comment=two words', '--nice=5']
    """
    return [
        f"--{name}" if value is True else f"--{name}={value}" for name, value in options.items() if value is not False
    ]


def _takes_a_word(option: str) -> bool:
    """Whether the word behind an option is its value: what sbatch took for its script otherwise."""
    if option.startswith("--"):
        return "=" not in option and option[2:] not in (*FLAGS, *PERHAPS)
    return len(option) == 2 and option[0] == "-" and option[1] not in FLAGS_IN_SHORT


def check_words(program: str, words: tuple[str, ...], ours: tuple[str, ...]) -> tuple[str, ...]:
    """Words for `program`: options with their values, and none that the suite sets itself, by whatever short form
    sbatch takes it. Raises ValueError."""
    exact = {*FLAGS, *PERHAPS, *VALUES}
    for before, word in zip(("", *words), words, strict=False):
        if not word.startswith("-") and _takes_a_word(before):
            continue
        if not word.startswith("-") or word in ("-", "--"):
            raise ValueError(f"{program}: {word!a} is no option, and no value of the one before")
        if word.startswith("--"):
            name = word[2:].partition("=")[0]
            found = [one for one in ours if one == name or (one.startswith(name) and name not in exact)]
        else:
            found = [one for one in (OURS_IN_SHORT.get(word[1:].lstrip(FLAGS_IN_SHORT)[:1]),) if one in ours]
        if found:
            raise ValueError(f"{program}: {word!a}: the suite sets --{found[0]} itself, and finds its jobs again by it")
    return words
