"""segsuite.trial.progress: events reach a reader whole, and nobody waits for one that does not read."""

import json
import os
import time
from pathlib import Path

from segsuite.trial.progress import ProgressChannel


def content_of(reading: int) -> bytes:
    os.set_blocking(reading, False)
    return os.read(reading, 1 << 20)


def events_of(content: bytes) -> list[dict[str, object]]:
    assert content.endswith(b"\n")
    return [json.loads(line) for line in content.splitlines()]


def test_events_are_lines_of_json_without_nan() -> None:
    reading, writing = os.pipe()
    ProgressChannel(writing).tell({"loss": float("nan"), "step": 1})
    assert events_of(content_of(reading)) == [{"loss": None, "step": 1}]


def test_a_reader_that_has_stopped_reading_holds_nobody_up_and_then_gets_whole_lines() -> None:
    reading, writing = os.pipe()
    channel = ProgressChannel(writing)
    begun = time.monotonic()
    for step in range(3000):
        channel.tell({"step": step, "iou": [0.5] * 60})
    assert time.monotonic() - begun < 5
    content = content_of(reading)
    channel.tell({"step": 3000})  # after the rest of one that the pipe took half of
    *first, last = (event["step"] for event in events_of(content + content_of(reading)))
    assert (first, last) == (list(range(len(first))), 3000)
    assert len(first) > 50


def test_events_longer_than_a_pipe_takes_at_once_come_whole() -> None:
    reading, writing = os.pipe()
    channel = ProgressChannel(writing)
    long = {"iou": ["x" * 50_000]}
    channel.tell(long)
    channel.tell(long)  # half of it finds room
    content = content_of(reading)
    channel.tell({"step": 2})  # its other half goes first
    assert events_of(content + content_of(reading)) == [long, long, {"step": 2}]


def test_nobody_listening_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ProgressChannel(writing).tell({"step": 1})
    with open(tmp_path / "file", "wb") as file:
        ProgressChannel(file.fileno()).tell({"step": 2})
    assert (tmp_path / "file").read_text() == '{"step": 2}\n'
