"""`python -m segsuite.launch.slurm.begun FILE MODULE ARGUMENTS...`: writes FILE, then is `python -m MODULE`.

trial.sbatch looks for the file: without it the site's own words (modules, container, python) are to blame. It is
written before anything large is imported. An argument and not a variable: some containers pass on no environment.
"""

import runpy
import sys
from pathlib import Path


def main() -> None:
    """Writes the file, and runs the module in this process."""
    Path(sys.argv.pop(1)).touch()
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
