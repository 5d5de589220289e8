"""The benchmarks of a checkout: which there are, and running one in a process of its own."""

import ast
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import segsuite
from segsuite.errors import EXIT_FAILED, EXIT_PREEMPTED, ConfigError, unknown_name

FOLDER = Path(segsuite.__file__).resolve().parents[1] / "benchmarks"


def benchmarks(folder: Path = FOLDER) -> dict[str, str]:
    """Name -> its first sentence, of every script in `folder` that has a `main`; the others are what these share.

    Raises ConfigError without the folder: an installed package does not hold it.
    """
    found = {}
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
            found[path.stem] = (ast.get_docstring(tree) or "").partition("\n\n")[0].replace("\n", " ")
    if not found:
        raise ConfigError(
            "the benchmarks are in the repository, and this segsuite was installed without it",
            "segsuite bench",
            "clone the repository and call `pip install -e .` there",
        )
    return found


def run_benchmark(name: str, arguments: Sequence[str], folder: Path = FOLDER) -> int:
    """Runs it with `arguments`; its exit code. What it prints goes to where this process prints.

    Raises ConfigError for a name that there is not.
    """
    known = benchmarks(folder)
    if name not in known:
        raise ConfigError(unknown_name("benchmark", name, known), "segsuite bench")
    # What is measured is the package that this command belongs to, wherever else another one is installed.
    path = os.pathsep.join(filter(None, (str(folder.parent), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, str(folder / f"{name}.py"), *arguments]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})
    try:
        code = process.wait()
        return code if code >= 0 else EXIT_FAILED
    except KeyboardInterrupt:
        # Ctrl-C has reached it as well.
        process.wait()
        return EXIT_PREEMPTED
