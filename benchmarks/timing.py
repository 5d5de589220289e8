"""What the benchmarks share: options, timing side by side, peak memory in a fresh process, one form of table."""

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MILLISECONDS, MEBIBYTES = "ms", "MiB"
Forms = Mapping[str, Callable[[], object]]
"""The same by several ways, by name."""


def options_of(doc: str | None, rounds: int, threads: int = 1) -> argparse.ArgumentParser:
    """The options that every benchmark takes, with their defaults; `doc` is its docstring."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    often = f"how often each is timed; default: {rounds}"
    parser.add_argument("--rounds", type=int, default=rounds, metavar="N", help=often)
    parser.add_argument("--threads", type=int, default=threads, metavar="N", help=f"of torch; default: {threads}")
    parser.add_argument("--json", action="store_true", help="print JSON, with every single time")
    parser.add_argument("--small", action="store_true", help="tiny sizes: only to see whether it runs")
    return parser


def side_by_side(functions: Forms, rounds: int, warmup: int = 1, first_turn: int = 0) -> dict[str, list[float]]:
    """Seconds of each call of each function, `rounds` each, in turn: A B, then B A, so that a machine whose speed
    drifts slows all of them alike. A function may return its own seconds as a float. first_turn: how many rounds there
    were before."""
    for function in functions.values():
        for _ in range(warmup):
            function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(first_turn, first_turn + rounds):
        for name in list(functions) if turn % 2 == 0 else list(functions)[::-1]:
            start = time.perf_counter()
            own = functions[name]()
            seconds[name].append(own if isinstance(own, float) else time.perf_counter() - start)
    return seconds


def cpu_side_by_side(functions: Forms, rounds: int) -> dict[str, list[float]]:
    """Seconds of CPU time of each call, in turn, which other work on the machine hardly touches; for one thread."""

    def timed(function: Callable[[], object]) -> Callable[[], object]:
        def run() -> float:
            start = time.process_time()
            function()
            return time.process_time() - start

        return run

    return side_by_side({name: timed(function) for name, function in functions.items()}, rounds)


def clock(threads: int) -> Callable[[], float]:
    """CPU time, which other work on the machine hardly touches; wall time where several threads share the work."""
    return time.process_time if threads == 1 else time.perf_counter


def fresh_process_imports(modules: Sequence[str]) -> None:
    """Fresh processes are forked from one that has imported `modules`; tensors it must not have made."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(modules))


def extra_mebibytes(steps: Callable[..., tuple[Callable[[], object], Callable[[], object]]], *arguments: Any) -> float:
    """How far one step raises the peak resident memory of a fresh process, in MiB.

    steps(*arguments), a function of a module, makes a tiny step, which is run first so that what only the first call
    needs is not counted, and then the step itself.
    """
    with multiprocessing.get_context("forkserver").Pool(1) as fresh:
        return fresh.apply(_raise_of_peak, (steps, arguments))


def _raise_of_peak(steps: Callable[..., tuple[Callable[[], object], Callable[[], object]]], arguments: Any) -> float:
    from segsuite.train.precision import peak_memory_bytes

    tiny, step = steps(*arguments)
    tiny()
    before = peak_memory_bytes("cpu")
    step()
    after = peak_memory_bytes("cpu")
    assert before is not None
    assert after is not None
    return (after - before) / 2**20


@dataclass(frozen=True)
class Table:
    """Rows of forms of the same thing: row -> form -> its values, in `unit`; values of one round stand at one place.

    A cell shows the median, and beside it how many times that of the form `base`: the median of the ratios round by
    round and, of at least four rounds, its quartiles.
    """

    title: str
    unit: str
    base: str
    rows: Mapping[str, Mapping[str, Sequence[float]]]

    @property
    def forms(self) -> list[str]:
        """Of all rows, the base first."""
        found = dict.fromkeys(form for row in self.rows.values() for form in row)
        return [self.base, *(form for form in found if form != self.base)]

    def to_json(self) -> dict[str, Any]:
        """Everything: the single values too."""
        rows = {
            row: {
                form: {"median": statistics.median(values), "values": list(values), **_ratio(values, of_row[self.base])}
                for form, values in of_row.items()
            }
            for row, of_row in self.rows.items()
        }
        return {"title": self.title, "unit": self.unit, "base": self.base, "rows": rows}

    def to_markdown(self) -> str:
        """A table that Markdown, and an eye, can read."""
        lines = [["", *self.forms], ["---"] * (1 + len(self.forms))]
        lines += [
            [row, *(self._cell(of_row, form) if form in of_row else "" for form in self.forms)]
            for row, of_row in self.rows.items()
        ]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
        many = any(len(values) > 3 for of_row in self.rows.values() for values in of_row.values())
        spread = ", and its quartiles over the rounds" if many else ""
        title = f"{self.title}, {self.unit} (in brackets: how many times that of {self.base}{spread})"
        return "\n".join([title, "", *(f"| {' | '.join(cells)} |" for cells in padded)])

    def _cell(self, of_row: Mapping[str, Sequence[float]], form: str) -> str:
        median = statistics.median(of_row[form])
        text = f"{median:.0f}" if median >= 100 else f"{median:.3g}"
        found = _ratio(of_row[form], of_row[self.base])
        if form == self.base or found["ratio"] is None:
            return text
        low, high = found["ratio_low"], found["ratio_high"]
        spread = "" if low is None or high is None else f", {low:.2f} to {high:.2f}"
        return f"{text} (**{found['ratio']:.2f}**{spread})"


def _ratio(values: Sequence[float], base: Sequence[float]) -> dict[str, float | None]:
    """Median and quartiles of values / base, round by round; None where the base is 0, as memory that fits into what
    was there before, or where rounds are too few."""
    if min(base) <= 0:
        return dict.fromkeys(("ratio", "ratio_low", "ratio_high"))
    ratios = [value / other for value, other in zip(values, base, strict=True)]
    low, _, high = statistics.quantiles(ratios, method="inclusive") if len(ratios) > 3 else (None, None, None)
    return {"ratio": statistics.median(ratios), "ratio_low": low, "ratio_high": high}


def in_milliseconds(seconds: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    return {name: [1e3 * value for value in values] for name, values in seconds.items()}


def machine(threads: int) -> dict[str, Any]:
    """What the figures depend on."""
    import torch

    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": threads,
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def told(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def show(name: str, options: argparse.Namespace, tables: Sequence[Table], notes: Sequence[str] = ()) -> None:
    """Prints the tables under a line about the machine, or everything as JSON."""
    found = machine(options.threads)
    if options.json:
        content = {"benchmark": name, "machine": found, "rounds": options.rounds, "notes": list(notes)}
        print(json.dumps(content | {"tables": [table.to_json() for table in tables]}, indent=1))
        return
    counts = {"thread": options.threads, "round": options.rounds}
    print(
        f"{name}: {found['processor']}, {found['cores']} cores, {found['capability']}, load {found['load']:.1f}, "
        f"torch {found['torch']}, {', '.join(f'{n} {noun}' + 's' * (n != 1) for noun, n in counts.items())}"
    )
    for note in notes:
        print(note)
    for table in tables:
        print(f"\n{table.to_markdown()}")
