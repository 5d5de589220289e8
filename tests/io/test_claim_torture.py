"""segsuite.io.claims: takers of several machines, with wrong clocks, paused and killed, are never two that write."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.reliability.trials import REPOSITORY

# A taker of a machine of its own, whose clock is wrong by minutes. For each folder: whoever gets the claim writes its
# number into `written`, if `check` lets it, as often as asked. Some are paused for longer than a claim lives, between
# two writes; what they would write after that is to be refused.
TAKER = """
import os, random, socket, sys, time
from pathlib import Path
from segsuite.errors import ClaimError
from segsuite.io import claims
root, name, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
chance = random.Random(seed)
socket.gethostname = lambda: name
right, error = time.time, chance.uniform(-600, 600)
time.time = lambda: right() + error
claims.BEAT_SECONDS, claims.STALE_SECONDS = 0.05, 0.4
counts = {"won": 0, "refused": 0, "lost": 0}
for folder in sorted(path for path in root.iterdir() if path.is_dir()):
    while not (folder / "done").exists():
        try:
            with claims.claim(folder) as held:
                counts["won"] += 1
                for part in range(3):
                    held.check()
                    with open(folder / "written", "a") as file:
                        file.write(f"{name} {os.getpid()} {counts['won']}\\n")
                    if chance.random() < 0.1:
                        os.utime, renew = (lambda *_: None), os.utime  # a paused process renews nothing
                        time.sleep(0.8)
                        os.utime = renew
                held.check()
                (folder / "done").touch()
        except claims.ClaimLost:
            counts["lost"] += 1
        except ClaimError:
            counts["refused"] += 1
            time.sleep(0.02)
print(*counts.values())
"""


def runs_of_one_writer(lines: list[str]) -> bool:
    """Whether nobody wrote again after another one had begun to."""
    order = list(dict.fromkeys(lines))
    return lines == sorted(lines, key=order.index)


@pytest.mark.slow
def test_takers_of_four_machines_never_write_at_the_same_time(tmp_path: Path) -> None:
    for index in range(60):
        (tmp_path / f"trial-{index:02d}").mkdir()
        stale = tmp_path / f"trial-{index:02d}" / "claim.json"
        stale.write_text('{"host": "of-yesterday", "pid": 1}')
        os.utime(stale, (time.time() - 1000,) * 2)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", TAKER, str(tmp_path)]
    takers = [
        subprocess.Popen([*command, f"machine-{i}", str(i)], stdout=subprocess.PIPE, text=True, env=environment)
        for i in range(5)
    ]
    time.sleep(1.0)
    takers[0].send_signal(signal.SIGKILL)  # what it holds grows stale
    outputs = [taker.communicate(timeout=120)[0] for taker in takers]
    assert [taker.returncode for taker in takers] == [-signal.SIGKILL, 0, 0, 0, 0]
    won, refused, lost = (sum(column) for column in zip(*(map(int, text.split()) for text in outputs[1:]), strict=True))
    print(f"{won} claims taken, {refused} refusals, {lost} lost to another taker while paused")
    for folder in sorted(tmp_path.iterdir()):
        lines = (folder / "written").read_text().splitlines()
        assert runs_of_one_writer(lines), (folder.name, lines)
        assert len([line for line in lines if line == lines[-1]]) == 3  # the one who ended it wrote all
    assert len(list(tmp_path.rglob(".*.tmp"))) <= 1  # of the one that was killed
    assert won >= 60
    assert lost >= 1
