"""`python -m segsuite`: the same as the command `segsuite`."""

import sys

from segsuite.cli import main

if __name__ == "__main__":
    sys.exit(main())
