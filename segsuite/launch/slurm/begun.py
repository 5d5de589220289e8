"""`python -P CODE/segsuite/launch/slurm/begun.py FILE MODULE FOLDER`: writes FILE, then is `python -m MODULE FOLDER`.

trial.sbatch looks for the file: without it the site's own words (modules, container, python) are to blame. It is
written before anything large is imported. An argument and not a variable: some containers pass on no environment.

It is called by its path, so that it is of the code that the job is to run, whatever `import segsuite` finds: where that
is another one, the trial is refused.
"""

import os
import runpy
import sys
from pathlib import Path

CODE = Path(__file__).parents[3]
ADVICE = (
    "a module, `prologue`, `container` or `python` of the profile changes PYTHONPATH, does not pass it on, or has a "
    "segsuite of its own that comes first: correct it, then call `segsuite retry`"
)


def main() -> int:
    """Writes the file, and runs the module in this process."""
    Path(sys.argv.pop(1)).touch()
    module = sys.argv.pop(1)
    try:
        other = found_elsewhere(CODE)
    except ImportError as error:
        return _refuse(Path(sys.argv[1]), f"Python finds no segsuite ({error}), which it is to import from {CODE}")
    if other is not None:
        return _refuse(
            Path(sys.argv[1]), f"Python imports segsuite from {other}, and not from {CODE}, the code of the job"
        )
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return 0


def found_elsewhere(code: Path) -> Path | None:
    """The folder that `import segsuite` finds it in, unless that is `code`. Raises ImportError when it finds none."""
    import segsuite

    found = Path(next(iter(segsuite.__path__))).parent  # not __file__, which a folder without __init__.py has not
    return None if os.path.samefile(found, code) else found


def _refuse(folder: Path, reason: str) -> int:
    """Records it as the trial's failure, with what belongs to the job's own code; exit code 2, for wrong use."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "segsuite"]:
        del sys.modules[name]
    sys.path.insert(0, str(CODE))
    from segsuite.errors import EXIT_WRONG_USE
    from segsuite.io import store

    print(f"refused: {reason}\n  to do: {ADVICE}", file=sys.stderr)
    store.record_failure(folder, "OtherCode", reason, str(folder), ADVICE)
    return EXIT_WRONG_USE


if __name__ == "__main__":
    sys.exit(main())
