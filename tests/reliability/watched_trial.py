"""`python -m tests.reliability.watched_trial FOLDER [STEP SIGNAL DELAY]`: a trial that notes what it learns from, in
FOLDER/learned.jsonl; it gets SIGNAL, DELAY seconds after it has begun optimizer step STEP (counted from 0) or a later
one."""

import hashlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from segsuite.train.module import SegmentationModule

NOTES = "learned.jsonl"


def sha256(tensor: Any) -> str:
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


def watch(folder: Path, end: tuple[int, int, float] | None) -> None:
    """Wraps the training step of every module of this process."""
    train = SegmentationModule.training_step
    ending: list[threading.Thread] = []

    def training_step(self: SegmentationModule, batch: dict[str, Any], batch_idx: int) -> Any:
        step = self.trainer.global_step
        if end is not None and step >= end[0] and not ending:
            ending.append(threading.Thread(target=send, args=end[1:], daemon=True))
            ending[0].start()
        note = {
            "step": step, "epoch": self.trainer.current_epoch, "batch": batch_idx, "indices": batch["index"].tolist(),
            "image": sha256(batch["image"]), "label": sha256(batch["label"]), "process": os.getpid(),
        }  # fmt: skip
        with open(folder / NOTES, "a") as file:
            file.write(json.dumps(note) + "\n")
        return train(self, batch, batch_idx)

    SegmentationModule.training_step = training_step  # type: ignore[method-assign]


def send(number: int, delay: float) -> None:
    time.sleep(delay)
    os.kill(os.getpid(), number)


def learned(folder: Path) -> list[dict[str, Any]]:
    """What counts of the notes, in order: a process that continues at a step takes back what was noted from it on."""
    counting: list[dict[str, Any]] = []
    process = None
    for line in (folder / NOTES).read_text().splitlines():
        note = json.loads(line)
        if note["process"] != process:
            process = note["process"]
            counting = [earlier for earlier in counting if earlier["step"] < note["step"]]
        counting.append(note)
    return [{key: value for key, value in note.items() if key != "process"} for note in counting]


if __name__ == "__main__":
    from segsuite.trial.__main__ import main

    run = Path(sys.argv[1])
    watch(run, (int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])) if len(sys.argv) > 2 else None)
    sys.exit(main(run))
