"""`segsuite predict`: images in, files out, with a bar while it goes."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import cv2
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from segsuite.datasets.image_io import large_images, read_image
from segsuite.errors import DataError, SegsuiteError
from segsuite.launch.display import duration
from segsuite.prediction.inputs import Input
from segsuite.prediction.memory import WindowChoice
from segsuite.prediction.outputs import Outputs, Prediction
from segsuite.prediction.predictor import Band, Image, Predictor

LARGEST_PIXELS = 1_000_000_000
"""Of an image that is read: above, a damaged header is likelier than an image."""
SECONDS_BETWEEN_LINES = 10.0
Advance = Callable[[str, float], None]
"""Name of an image, and the share of it that has been predicted since the last call."""
AHEAD = 2
"""Images that are read, and predictions that wait to be written, while one is computed."""


@dataclass
class Done:
    """What became of the images: `failed`, a sentence each."""

    predicted: int
    failed: list[str]
    seconds: float


def predict_files(
    predictor: Predictor,
    images: Sequence[Input],
    outputs: Outputs,
    choice: WindowChoice,
    value_range: tuple[float, float] | None = None,
    say: Callable[[str], None] = print,
) -> Done:
    """Predicts all images and writes their files; one that cannot be read is named on standard error, and the others go
    on. `outputs.begin` has been called. `value_range`: see `read_image`."""
    begun, failed, predicted = time.monotonic(), list[str](), 0
    videos = any(one.is_video for one in images)
    with (
        large_images(LARGEST_PIXELS),
        _followed(None if videos else len(images), say) as advance,
        ThreadPoolExecutor(1) as reader,
        ThreadPoolExecutor(1) as writer,
    ):
        writing: list[Future[None]] = []
        for name, found in _read(images, value_range, reader):
            if isinstance(found, SegsuiteError):
                failed.append(str(found))
                print(f"error: {found}", file=sys.stderr)
                advance(name, 1.0)
                continue
            windows = choice.of(found.shape[0], found.shape[1], say)
            bands = predictor.bands(found, windows, outputs.probabilities != "none")
            told = _told(bands, len(found), name, advance)
            prediction = Prediction.of(told, found.shape[:2], predictor.num_classes, outputs.probabilities)
            while len(writing) >= AHEAD:
                writing.pop(0).result()
            writing.append(writer.submit(outputs.write, name, found, prediction))
            predicted += 1
        for one in writing:
            one.result()
    return Done(predicted, failed, time.monotonic() - begun)


def _told(bands: Iterator[Band], height: int, name: str, advance: "Advance") -> Iterator[Band]:
    """The same bands; after each the share of the image that it is."""
    for band in bands:
        yield band
        advance(name, len(band.labels_HW) / height)


def _read(
    images: Sequence[Input], value_range: tuple[float, float] | None, reader: ThreadPoolExecutor
) -> Iterator[tuple[str, Image | SegsuiteError]]:
    """Name and pixels of each image and frame, or why they cannot be read; the next ones are read meanwhile."""

    def read(one: Input) -> Image | SegsuiteError:
        try:
            return read_image(one.path, value_range)
        except SegsuiteError as error:
            return error

    waiting: list[tuple[Input, Future[Image | SegsuiteError]]] = []
    for one in chain(images, [None] * AHEAD):
        if one is not None and one.is_video:
            for before, future in waiting:
                yield before.name, future.result()
            waiting = []
            yield from _frames(one)
        elif one is not None:
            waiting.append((one, reader.submit(read, one)))
        if waiting and (one is None or len(waiting) > AHEAD):
            before, future = waiting.pop(0)
            yield before.name, future.result()


def _frames(video: Input) -> Iterator[tuple[str, Image | SegsuiteError]]:
    """NAME/000001, NAME/000002, ... and the frames (H, W, 3) of a video."""
    capture = cv2.VideoCapture(str(video.path))
    try:
        number = 0
        while True:
            there, frame = capture.read()
            if not there:
                break
            number += 1
            yield f"{video.name}/{number:06d}", np.ascontiguousarray(frame[:, :, ::-1], np.uint8)
        if number == 0:
            advice = "convert it to a usual format, e.g. H.264 in .mp4"
            yield video.name, DataError("the video holds no frame that can be read", str(video.path), advice)
    finally:
        capture.release()


@contextmanager
def _followed(count: int | None, say: Callable[[str], None]) -> Iterator[Advance]:
    """A function to be told of each image, or part of one: a bar with the time left on a terminal, else a line now and
    then."""
    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        left = TimeRemainingColumn(compact=True)
        columns = (BarColumn(), TaskProgressColumn(), left, TextColumn("{task.description}", markup=False))
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("", total=count)
            yield lambda name, share: progress.update(task, advance=share, description=name[-30:])
        return
    begun = told = time.monotonic()
    done = 0.0

    def advance_plainly(name: str, share: float) -> None:
        nonlocal told, done
        done, now = done + share, time.monotonic()
        if now - told >= SECONDS_BETWEEN_LINES and (count is None or done < count - 1e-6):
            told = now
            left = "" if count is None else f" of {count}, {duration((now - begun) / done * (count - done))} left"
            say(f"predicted {done:.4g}{left}: {name}")

    yield advance_plainly
