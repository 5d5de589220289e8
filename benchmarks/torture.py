"""Faults made with real processes, and what was lost: claims, kills, pauses, clocks, disks, other users, containers.

Prints a table in Markdown (docs/results/torture.md); exit code 1 when anything was lost or two holders of a claim
wrote. What this machine or its user cannot do is named in the table, not left away; root can do most.
"""

import argparse
import importlib
import json
import os
import platform
import random
import shutil
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from pathlib import Path

from torture_faults import Impossible, Row, Torture

from segsuite.experiment import load
from segsuite.launch.doctor.folder import file_system

SECTIONS = {
    "takeovers": 0.25,
    "containers": 0.05,
    "forbidden": 0.05,
    "kills": 0.35,
    "pauses": 0.1,
    "checkpoints": 0.1,
    "full": 0.1,
}
"""Module of torture_faults -> its share of the time. The first three need no training."""
SMALL = ("takeovers", "containers", "forbidden")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, metavar="N", help="about how long; default: 10")
    parser.add_argument("--small", action="store_true", help="once each, without trainings: under a minute")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all random moments; default: 0")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="FAULT", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    chosen = options.only or (SMALL if options.small else tuple(SECTIONS))
    begun, rows = time.monotonic(), list[Row]()
    folder = Path(tempfile.mkdtemp(prefix="segsuite-torture-"))
    try:
        right = () if set(chosen) <= set(SMALL) else undisturbed(folder)
        for name in chosen:
            print(f"{name} ...", file=sys.stderr, flush=True)
            seconds = 60 * options.minutes * SECTIONS[name] / sum(SECTIONS[one] for one in chosen)
            (folder / name).mkdir()
            rows += tried(name, Torture(folder / name, random.Random(options.seed), seconds, options.small, right))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows += [Row(name, not_tried="left out of this run") for name in SECTIONS if name not in chosen]
    facts = {
        "seconds": round(time.monotonic() - begun), "seed": options.seed, "python": platform.python_version(),
        "kernel": platform.release(), "file_system": file_system(folder.parent), "root": os.geteuid() == 0,
    }  # fmt: skip
    lost = sum(row.lost for row in rows)
    if options.json:
        found = {"benchmark": "torture", "facts": facts, "lost": lost, "rows": [asdict(row) for row in rows]}
        print(json.dumps(found, indent=1))
    else:
        print("\n".join(table(rows)))
        print(f"\n{', '.join(f'{name} {value}' for name, value in facts.items())}; lost: {lost}")
    for row in rows:
        for sentence in row.faults:
            print(f"lost: {row.fault}: {sentence}", file=sys.stderr)
    sys.exit(1 if lost else 0)


def undisturbed(folder: Path) -> tuple[str, ...]:
    """What the small trials end with when nothing happens to them."""
    from torture_faults.small_trials import outcome, run, written

    (folder / "undisturbed").mkdir()
    path = written(folder / "undisturbed", 2)
    run(path, "--workers", "2").wait()
    return tuple(outcome(trial.folder) for trial in load(path).trials)


def tried(name: str, torture: Torture) -> list[Row]:
    """The rows of a fault; one that says so where it cannot be made, or where making it failed."""
    try:
        rows: list[Row] = importlib.import_module(f"torture_faults.{name}").main(torture)
    except Impossible as reason:
        return [Row(name, not_tried=str(reason))]
    except Exception:
        row = Row(name)
        row.lose(f"the benchmark itself failed: {traceback.format_exc()[-1500:]}")
        return [row]
    return rows


def table(rows: list[Row]) -> list[str]:
    """Markdown."""
    lines = ["| fault | tried | what happened | lost |", "|---|---|---|---|"]
    for row in rows:
        happened = f"not tried: {row.not_tried}" if row.not_tried else row.happened
        lines.append(f"| {row.fault} | {row.tried or '-'} | {happened} | {'-' if row.not_tried else row.lost} |")
    return lines


if __name__ == "__main__":
    main()
