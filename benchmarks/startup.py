"""How long the commands of a login node take to start.

Goal: `plan --json` and `--help` under 0.4 s, no torch imported."""

import subprocess
import sys
from pathlib import Path

import timing

ROOT = Path(__file__).resolve().parents[1]


def command(*arguments: str) -> object:
    return lambda: subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    options = timing.options_of(__doc__, 10).parse_args()
    functions = {
        "python -c pass": command("-c", "pass"),
        "segsuite --help": command("-m", "segsuite", "--help"),
        "segsuite plan --json": command("-m", "segsuite", "plan", "experiments/quickstart.yaml", "--json"),
        "segsuite status --json": command("-m", "segsuite", "status", "experiments/quickstart.yaml", "--json"),
        "python -c 'import torch'": command("-c", "import torch"),
    }
    seconds = timing.in_milliseconds(timing.side_by_side(functions, options.rounds))
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, segsuite, segsuite.cli, segsuite.experiment; print('torch' in sys.modules)",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    notes = [f"importing segsuite and its command line imports torch: {loaded.stdout.strip()}"]
    table = timing.Table("Start of a process until its end", timing.MILLISECONDS, "python -c pass", {"": seconds})
    timing.show("startup", options, [table], notes)


if __name__ == "__main__":
    main()
