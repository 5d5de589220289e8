"""How fast the suite is on a CPU beside what one would write instead: ratios, each with its goal.

stock: a tutorial's recipe, that is Lightning's defaults, smp's network and losses, torchmetrics in every step, PNG
files decoded in every epoch. bare loop: bf16, channels_last and fused AdamW, on the suite's images. segsuite: the path
of `segsuite run`. They are timed in turn, on the same files.
"""

from sectioned import Benchmark
from step_sections import SECTIONS


def main() -> None:
    Benchmark("step", __doc__ or "", SECTIONS, minutes=15.0).main()


if __name__ == "__main__":
    main()
