"""Everything that a machine with a GPU can show about the suite, within a time limit: right, fast, repeatable.

Sections run in order of worth, each in a process of its own, so that one that fails leaves the others. What did not fit
into the time is named at the end. It runs on a CPU too, with --small, so that on the day a GPU is there nothing but
speed is new.
"""

from gpu_sections import SECTIONS
from sectioned import Benchmark


def main() -> None:
    Benchmark("gpu", __doc__ or "", SECTIONS, minutes=8.0).main()


if __name__ == "__main__":
    main()
