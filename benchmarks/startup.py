"""How long the commands of a login node take to start. Goal: `plan --json` and `--help` under 0.4 s, no torch imported.

python benchmarks/startup.py [--rounds 10]
"""

import argparse
import subprocess
import sys
from pathlib import Path

from timing import side_by_side, table

ROOT = Path(__file__).resolve().parents[1]


def command(*arguments: str) -> object:
    return lambda: subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    functions = {
        "python -c pass": command("-c", "pass"),
        "segsuite --help": command("-m", "segsuite", "--help"),
        "segsuite plan --json": command("-m", "segsuite", "plan", "experiments/quickstart.yaml", "--json"),
        "segsuite status --json": command("-m", "segsuite", "status", "experiments/quickstart.yaml", "--json"),
        "python -c 'import torch'": command("-c", "import torch"),
    }
    print(table(side_by_side(functions, parser.parse_args().rounds), "python -c pass"))  # type: ignore[arg-type]
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
    print(f"importing segsuite and its command line imports torch: {loaded.stdout.strip()}")


if __name__ == "__main__":
    main()
