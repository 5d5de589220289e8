"""What benchmarks of several sections share: options, a time limit, a process for each section, JSON and tables.

Sections run in order of worth, each in a process of its own, so that one that fails leaves the others; what did not fit
into the time is named at the end. The sections of a benchmark NAME are modules of the folder NAME_sections.
"""

import argparse
import dataclasses
import importlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from section_records import Records, read, tables

RESERVE_SECONDS = 5.0
"""Kept for the tables at the end."""


@dataclass(frozen=True)
class Context:
    """What every section knows: the device (cuda or cpu), whether sizes are tiny, CamVid's folder or None, a folder for
    what it writes, and after how many seconds it is ended."""

    device: str
    small: bool
    data: Path | None
    folder: Path
    seconds: float = 600.0


@dataclass(frozen=True)
class Section:
    """`main(context, records)` of the module `name`; it is not begun with less than `least_seconds` left and ended
    after `most_seconds`."""

    name: str
    what: str
    least_seconds: float
    most_seconds: float

    def run(self, package: str, context: Context, records: Path) -> None:
        with Records(records) as found:
            importlib.import_module(f"{package}.{self.name}").main(context, found)


@dataclass(frozen=True)
class Benchmark:
    """`name` and `doc` of a script, its sections and how many minutes they take by default; the folder `package` holds
    the sections."""

    name: str
    doc: str
    sections: Sequence[Section]
    minutes: float

    @property
    def package(self) -> str:
        return f"{self.name}_sections"

    def options(self) -> argparse.ArgumentParser:
        names = ", ".join(section.name for section in self.sections)
        parser = argparse.ArgumentParser(
            description=self.doc, formatter_class=argparse.RawDescriptionHelpFormatter, epilog=f"sections: {names}"
        )
        often = f"hard limit of the whole; default: {self.minutes:g}"
        parser.add_argument("--minutes", type=float, default=self.minutes, metavar="M", help=often)
        parser.add_argument("--out", type=Path, metavar="FILE", help="write everything as JSON there, too")
        parser.add_argument("--only", metavar="N,M", help="sections, by name or number from 1; default: all")
        parser.add_argument("--data", type=Path, metavar="DIR", help="CamVid's folder; default: images of `shapes`")
        parser.add_argument("--device", default="auto", choices=("auto", "cuda", "cpu"), help="default: cuda if there")
        parser.add_argument("--small", action="store_true", help="tiny sizes: only to see whether it runs")
        parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
        return parser

    def chosen(self, text: str | None) -> list[Section]:
        """The sections that --only names, in their order."""
        if text is None:
            return list(self.sections)
        wanted = [word.strip() for word in text.split(",") if word.strip()]
        known = {key: section for at, section in enumerate(self.sections, 1) for key in (section.name, str(at))}
        if unknown := [word for word in wanted if word not in known]:
            sys.exit(f"error: there is no section {unknown[0]}; the sections are {', '.join(known)}")
        return [section for section in self.sections if any(known[word] is section for word in wanted)]

    def main(self) -> None:
        """Runs what the command line asks for; exit code 1 when a section did not come to its end."""
        options = self.options().parse_args()
        begin = time.monotonic()
        import segsuite.trial  # noqa: F401  # imported once, before the sections are forked

        found = machine(options.device)
        results: list[dict[str, Any]] = []
        left_out: list[str] = []
        # Trials of a section that was stopped see a moment later that their launcher has gone, and write until then.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            context = Context(found["device"], options.small, options.data, Path(folder))
            for section in self.chosen(options.only):
                left = 60 * options.minutes - (time.monotonic() - begin) - RESERVE_SECONDS
                if left < section.least_seconds:
                    left_out.append(section.name)
                    continue
                result = run_section(section, self.package, context, min(left, section.most_seconds))
                results.append(result)
                print(f"{section.name}: {result['ended']}, {result['seconds']} s", file=sys.stderr, flush=True)
                if options.out is not None:  # what is there is kept, whatever ends the rest
                    self._write(options.out, found, results, left_out)
        if options.out is not None:
            self._write(options.out, found, results, left_out)
        if options.json:
            print(json.dumps(self._content(found, results, left_out), indent=1))
        else:
            self._show(found, results, left_out)
        sys.exit(0 if all(result["ended"] == "done" for result in results) else 1)

    def _content(self, found: dict[str, Any], results: list[dict[str, Any]], left_out: list[str]) -> dict[str, Any]:
        return {"benchmark": self.name, "machine": found, "sections": results, "left_out": left_out}

    def _write(self, path: Path, found: dict[str, Any], results: list[dict[str, Any]], left_out: list[str]) -> None:
        path.write_text(json.dumps(self._content(found, results, left_out), indent=1), encoding="utf-8")

    def _show(self, found: dict[str, Any], results: list[dict[str, Any]], left_out: list[str]) -> None:
        device = found.get("gpu", found["device"])
        print(f"{self.name}: {device}, {found['cores']} cores, load {found['load']:.1f}, torch {found['torch']}")
        for result in results:
            print(f"\n## {result['section']}: {result['what']} ({result['ended']}, {result['seconds']} s)")
            for table in tables(result["records"]):
                print(f"\n{table}")
            if "log" in result:
                print(f"\n{result['log'][-3000:]}")
        if left_out:
            print(f"\nleft out, since the time was over: {', '.join(left_out)}")


def run_section(section: Section, package: str, context: Context, seconds: float) -> dict[str, Any]:
    """Its records and how it ended, after at most `seconds`."""
    log, records = context.folder / f"{section.name}.log", context.folder / f"{section.name}.jsonl"
    context = dataclasses.replace(context, seconds=seconds)
    child = get_context("fork").Process(target=_in_child, args=(section, package, context, log, records))
    start = time.monotonic()
    child.start()
    child.join(seconds)
    ended = "done" if child.exitcode == 0 else "failed"
    if child.is_alive():
        ended = f"stopped after {seconds:.0f} s"
        assert child.pid is not None
        os.killpg(child.pid, signal.SIGKILL)
        child.join()
    found: dict[str, Any] = {"section": section.name, "what": section.what, "ended": ended}
    found |= {"seconds": round(time.monotonic() - start, 1), "records": read(records)}
    if ended != "done":
        found["log"] = log.read_text(encoding="utf-8", errors="replace")[-60000:]
    return found


def _in_child(section: Section, package: str, context: Context, log: Path, records: Path) -> None:
    os.setsid()
    with open(log, "w", encoding="utf-8", buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        section.run(package, context, records)


def machine(device: str) -> dict[str, Any]:
    """What the figures depend on; asked in a process of its own, since CUDA does not survive a fork."""
    with get_context("fork").Pool(1) as pool:
        return pool.apply(_machine, (device,))


def _machine(device: str) -> dict[str, Any]:
    import torch

    from segsuite.io.machine import cores
    from segsuite.train.precision import hardware, resolve_device

    found = {"torch": torch.__version__, "cores": cores(), "load": os.getloadavg()[0]}
    found |= hardware(resolve_device(device))
    if found["device"] == "cuda":
        found["capability"] = ".".join(map(str, torch.cuda.get_device_capability()))
    return found
