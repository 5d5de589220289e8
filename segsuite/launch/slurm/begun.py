"""`python -m segsuite.launch.slurm.begun MODULE ARGUMENTS...`: notes that Python has begun, then is `python -m MODULE`.

trial.sbatch waits for the file that SEGSUITE_BEGUN names: without it the site's own words (modules, container, python)
are to blame. It is written before anything large is imported.
"""

import os
import runpy
import sys
from pathlib import Path


def main() -> None:
    """Writes the file, and runs the module in this process."""
    mark = os.environ.pop("SEGSUITE_BEGUN", None)
    if mark is not None:
        Path(mark).touch()
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
