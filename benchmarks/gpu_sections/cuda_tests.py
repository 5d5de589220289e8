"""All tests marked cuda, in one pytest."""

import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from section_records import Records
    from sectioned import Context

REPOSITORY = Path(__file__).resolve().parents[2]


LEAST_FOR_THE_END = 10.0  # s: what pytest says of its failures when it is interrupted


def main(context: "Context", records: "Records") -> None:
    selected = ["--collect-only"] if context.device != "cuda" else []
    # Only what names the marker: collecting all tests imports all that the machine may lack. Whole trials last.
    tests = [path for path in (REPOSITORY / "tests").rglob("test_*.py") if "mark.cuda" in path.read_text("utf-8")]
    selected += [str(path) for path in sorted(tests, key=lambda path: ("trials" in path.name, path))]
    command = [sys.executable, "-m", "pytest", "-m", "cuda", "-q", "-rfE", "--tb=short", "-p", "no:cacheprovider"]
    process = subprocess.Popen(
        [*command, *selected], cwd=REPOSITORY, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    end = threading.Timer(context.seconds - LEAST_FOR_THE_END, process.send_signal, (signal.SIGINT,))
    end.start()
    assert process.stdout is not None
    last = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        if failed := re.match(r"(?:FAILED|ERROR) (\S+)(?: - (.*))?", line):
            records.add("Failed tests", failed[1], why=(failed[2] or "")[:200])
        last = line.strip() or last
    code = process.wait()
    end.cancel()
    records.add("Tests", "pytest -m cuda", said=last.strip("= "))
    if code:
        sys.exit("some tests failed")
