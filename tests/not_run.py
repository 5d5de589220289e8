"""What a session of tests did not run, in one line."""

import re
from collections import Counter


def not_run(reasons: list[str]) -> str:
    """The line for what pytest gives as reasons of skipped tests."""
    short = Counter(re.sub(r"^Skipped: | \(searched: .*\)$", "", reason) for reason in reasons)
    return "not run: " + ", ".join(
        f"{count} test{'s' * (count != 1)} ({reason})" for reason, count in short.most_common()
    )
