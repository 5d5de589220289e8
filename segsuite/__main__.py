"""`python -m segsuite`: the same as the command `segsuite`."""

import sys

from segsuite.io.imports import forget_working_folder

if __name__ == "__main__":
    if not sys.flags.safe_path:
        forget_working_folder()
    from segsuite.cli import main

    sys.exit(main())
