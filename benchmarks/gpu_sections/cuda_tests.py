"""All tests marked cuda, in one pytest."""

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpu_sections import Context
    from gpu_sections.records import Records

REPOSITORY = Path(__file__).resolve().parents[2]


def main(context: "Context", records: "Records") -> None:
    selected = ["--collect-only"] if context.device != "cuda" else []
    command = [sys.executable, "-m", "pytest", "-m", "cuda", "-q", "-rfE", "--tb=short", "-p", "no:cacheprovider"]
    process = subprocess.Popen(
        [*command, *selected], cwd=REPOSITORY, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    last = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        if failed := re.match(r"(?:FAILED|ERROR) (\S+)(?: - (.*))?", line):
            records.add("Failed tests", failed[1], why=(failed[2] or "")[:200])
        last = line.strip() or last
    code = process.wait()
    records.add("Tests", "pytest -m cuda", said=last.strip("= "))
    if code:
        sys.exit("some tests failed")
