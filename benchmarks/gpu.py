"""Everything that a machine with a GPU can show about the suite, within a time limit: right, fast, repeatable.

Sections run in order of worth, each in a process of its own, so that one that fails leaves the others. What did not fit
into the time is named at the end. It runs on a CPU too, with --small, so that on the day a GPU is there nothing but
speed is new.
"""

import argparse
import dataclasses
import json
import os
import signal
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from gpu_sections import SECTIONS, Context, Section
from gpu_sections.records import read, tables

RESERVE_SECONDS = 5.0
"""Kept for the tables at the end."""


def options_of() -> argparse.ArgumentParser:
    names = ", ".join(section.name for section in SECTIONS)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, epilog=f"sections: {names}"
    )
    parser.add_argument("--minutes", type=float, default=8.0, metavar="M", help="hard limit of the whole; default: 8")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write everything as JSON there, too")
    parser.add_argument("--only", metavar="N,M", help="sections, by name or number from 1; default: all")
    parser.add_argument("--data", type=Path, metavar="DIR", help="CamVid's folder; default: images of `shapes`")
    parser.add_argument("--device", default="auto", choices=("auto", "cuda", "cpu"), help="default: cuda if there")
    parser.add_argument("--small", action="store_true", help="tiny sizes: only to see whether it runs")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return parser


def chosen(text: str | None) -> list[Section]:
    """The sections that --only names, in their order."""
    if text is None:
        return list(SECTIONS)
    wanted = [word.strip() for word in text.split(",") if word.strip()]
    known = {key: section for at, section in enumerate(SECTIONS, 1) for key in (section.name, str(at))}
    if unknown := [word for word in wanted if word not in known]:
        sys.exit(f"error: there is no section {unknown[0]}; the sections are {', '.join(s.name for s in SECTIONS)}")
    return [section for section in SECTIONS if any(known[word] is section for word in wanted)]


def run_section(section: Section, context: Context, seconds: float) -> dict[str, Any]:
    """Its records and how it ended, after at most `seconds`."""
    log, records = context.folder / f"{section.name}.log", context.folder / f"{section.name}.jsonl"
    context = dataclasses.replace(context, seconds=seconds)
    child = get_context("fork").Process(target=_in_child, args=(section, context, log, records))
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


def _in_child(section: Section, context: Context, log: Path, records: Path) -> None:
    os.setsid()
    with open(log, "w", encoding="utf-8", buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        section.run(context, records)


def machine(device: str) -> dict[str, Any]:
    """What the figures depend on; asked in a process of its own, since CUDA does not survive a fork."""
    with get_context("fork").Pool(1) as pool:
        return pool.apply(_machine, (device,))


def _machine(device: str) -> dict[str, Any]:
    import torch

    from segsuite.train.precision import hardware, resolve_device

    found = {"torch": torch.__version__, "cores": len(os.sched_getaffinity(0)), **hardware(resolve_device(device))}
    if found["device"] == "cuda":
        found["capability"] = ".".join(map(str, torch.cuda.get_device_capability()))
    return found


def main() -> None:
    options = options_of().parse_args()
    begin = time.monotonic()
    import segsuite.trial  # noqa: F401  # imported once, before the sections are forked

    found = machine(options.device)
    results: list[dict[str, Any]] = []
    left_out: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        context = Context(found["device"], options.small, options.data, Path(folder))
        for section in chosen(options.only):
            left = 60 * options.minutes - (time.monotonic() - begin) - RESERVE_SECONDS
            if left < section.least_seconds:
                left_out.append(section.name)
                continue
            result = run_section(section, context, min(left, section.most_seconds))
            results.append(result)
            print(f"{section.name}: {result['ended']}, {result['seconds']} s", file=sys.stderr, flush=True)
            if options.out is not None:  # what is there is kept, whatever ends the rest
                _write(options.out, found, results, left_out)
    if options.out is not None:
        _write(options.out, found, results, left_out)
    if options.json:
        print(json.dumps(_content(found, results, left_out), indent=1))
    else:
        _show(found, results, left_out)
    sys.exit(0 if all(result["ended"] == "done" for result in results) else 1)


def _content(found: dict[str, Any], results: list[dict[str, Any]], left_out: list[str]) -> dict[str, Any]:
    return {"benchmark": "gpu", "machine": found, "sections": results, "left_out": left_out}


def _write(path: Path, found: dict[str, Any], results: list[dict[str, Any]], left_out: list[str]) -> None:
    path.write_text(json.dumps(_content(found, results, left_out), indent=1), encoding="utf-8")


def _show(found: dict[str, Any], results: list[dict[str, Any]], left_out: list[str]) -> None:
    print(f"gpu: {found.get('gpu', found['device'])}, {found['cores']} cores, torch {found['torch']}")
    for result in results:
        print(f"\n## {result['section']}: {result['what']} ({result['ended']}, {result['seconds']} s)")
        for table in tables(result["records"]):
            print(f"\n{table}")
        if "log" in result:
            print(f"\n{result['log'][-3000:]}")
    if left_out:
        print(f"\nleft out, since the time was over: {', '.join(left_out)}")


if __name__ == "__main__":
    main()
