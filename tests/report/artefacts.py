"""What measured trials leave, invented with numpy alone: artefacts.json, artefacts.npz, counts along borders."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsuite.datasets.image_io import read_mask
from segsuite.experiment import Experiment, Trial
from segsuite.io import atomic
from segsuite.metrics import BOUNDARY_COLUMNS
from segsuite.metrics.boundary import boundary_counts, boundary_scores
from tests.report.runs import dataset_of, experiment_in, finish

STRIDE = 8
EPOCHS = (0, 1, 2, 4, 6)
FLIPS = {"nearest_conv": (0.0, 0.0), "bilinear_conv": (0.0, 0.0005), "transposed_k4": (0.5, 0.04)}
"""Of the arms of `runs.ARMS`, at the start and at the end."""
Pattern = Callable[[Trial, str], float]


def measured_in(folder: Path, seeds: Sequence[int] = (0, 1, 2)) -> Experiment:
    """A small experiment that has run and was measured."""
    made = experiment_in(folder, images=4, seeds=seeds)
    finish(made)
    measure(made, flips)
    return made


def flips(trial: Trial, moment: str) -> float:
    """FLIPS of the arm, a little more for each seed."""
    arm = next(name for name in FLIPS if name in trial.arm)
    return FLIPS[arm][moment == "final"] * (1 + 0.1 * trial.seed)


def measure(experiment: Experiment, pattern: Pattern, side: int = 128) -> None:
    """Gives every finished trial the files of a measured one. `pattern`: of a trial and a moment ("start", "final"),
    the share of pixels that flip on a constant; a pattern of that strength is in all figures and pictures."""
    for trial in experiment.trials:
        if (trial.folder / "result.json").exists():
            start, final = pattern(trial, "start"), pattern(trial, "final")
            measure_trial(trial, start, final, side)


def measure_trial(trial: Trial, start: float, final: float, side: int = 128) -> None:
    """The same for one trial."""
    rows: list[dict[str, Any]] = []
    for epoch in EPOCHS:
        of_epoch = start + (final - start) * epoch / EPOCHS[-1]
        rows += [{"epoch": epoch, "step": 10 * epoch, **row} for row in rows_of(of_epoch, shift_control=None)]
    content = {
        "version": 2,
        "stride": STRIDE,
        "seams": [{"name": "core.steps.0.upsampler", "stride_from": 2, "stride_to": 1}],
        "rows": rows,
        "final": rows_of(final, shift_control=0.04),
        "images": ["a", "b"],
        "final_images": ["a", "b", "c", "d"],
    }
    atomic.write_json(trial.folder / "artefacts.json", content)
    arrays = {f"start_{name}": array for name, array in pictures_of(start, side).items()}
    arrays |= {f"final_{name}": array for name, array in pictures_of(final, side).items()}
    atomic.write_with(trial.folder / "artefacts.npz", lambda file: np.savez_compressed(file, **arrays))


def rows_of(pattern: float, shift_control: float | None) -> list[dict[str, Any]]:
    """Rows of a measurement, for a pattern of this strength."""
    found: list[tuple[str, int | None, str, float | None, float | None]] = []
    for place in ("logits", "probabilities", "seam:core.steps.0.upsampler"):
        for stride in (2, 4, STRIDE):
            found += [
                (place, stride, "harmonic_share", 0.02 + pattern, 0.02),
                (place, stride, "harmonic_decibels", 30 * pattern, 0.0),
                (place, stride, "static_phase_variance", 0.01 + pattern / 2, 0.01),
                (place, stride, "tile_phase_variance", pattern - 0.01, -0.01),
            ]
    found += [
        ("gradient", STRIDE, "phase_energy_variation", 0.1, 0.1),
        ("gradient", STRIDE, "harmonic_share", None, None),
        ("prediction", None, "shift_flips", 0.05 + pattern, shift_control),
        ("prediction", None, "isolated_pixels", 0.0002 + pattern / 3, 0.0001),
        ("prediction", None, "boundary_length_ratio", 1.1 + 4 * pattern, 1.0),
        ("prediction", STRIDE, "blockiness", 0.05, 0.03),
        ("decoder", STRIDE, "constant_response_index", 2 * pattern if pattern else 3e-14, 0.0),
        ("decoder", STRIDE, "constant_response_flips", pattern, 0.0),
    ]
    keys = ("place", "stride", "measure", "value", "control")
    return [dict(zip(keys, row, strict=True)) for row in found]


def pictures_of(pattern: float, side: int) -> dict[str, NDArray[Any]]:
    """Arrays of a measurement, for a pattern of this strength."""
    rng = np.random.default_rng(0)
    down, right = np.mgrid[:side, :side]
    scene = np.exp(-((down - side / 2) ** 2 + (right - side / 3) ** 2) / side)
    maps = scene + pattern * rng.standard_normal((STRIDE, STRIDE))[down % STRIDE, right % STRIDE]
    power = (
        np.abs(np.fft.fftshift(np.fft.fft2((maps - maps.mean()) * np.hanning(side) * np.hanning(side)[:, None]))) ** 2
    )
    tile = pattern * rng.standard_normal((STRIDE, STRIDE))
    return {
        "spectrum": (10 * np.log10(power / power.max() + 1e-8)).astype(np.float16),
        "phase_map": np.exp(tile).astype(np.float16),
        "constant_response": (tile - tile.mean()).astype(np.float16),
        "constant_response_classes": (tile > 0.5).astype(np.uint8),
        "margin": np.abs(maps[:64, :64] - 0.5).astype(np.float16),
        "margin_image": rng.integers(0, 256, (64, 64, 3)).astype(np.uint8),
        "margin_label": rng.choice(np.array([0, 1, 2, 255], dtype=np.uint8), (64, 64)),
        "margin_prediction": rng.integers(0, 3, (64, 64)).astype(np.uint8),
    }


def count_borders(experiment: Experiment, only: Callable[[Trial], bool] = lambda trial: True) -> None:
    """Gives finished trials the boundary counts and scores of their predictions, all of which must be in samples/."""
    dataset = dataset_of(experiment)
    labels = [dataset.read(index)[1] for index in range(len(dataset))]
    present = np.array([any((label == c).any() for label in labels) for c in range(dataset.num_classes)])
    for trial in experiment.trials:
        if not (trial.folder / "result.json").exists() or not only(trial):
            continue
        predictions = [
            read_mask(trial.folder / "samples" / f"{dataset.sample_name(index)}.png") for index in range(len(dataset))
        ]
        counts = np.stack(
            [boundary_counts(*pair, dataset.num_classes) for pair in zip(predictions, labels, strict=True)]
        )
        rewrite_counts(trial, boundary_counts=counts.astype(np.int32), boundary_columns=np.array(BOUNDARY_COLUMNS))
        path = trial.folder / "result.json"
        result = json.loads(path.read_text(encoding="utf-8"))
        atomic.write_json(path, result | {"boundary_scores": boundary_scores(counts, present)})


def rewrite_counts(trial: Trial, **arrays: NDArray[Any]) -> None:
    """Puts arrays into counts.npz."""
    path = trial.folder / "counts.npz"
    with np.load(path) as old:
        kept: dict[str, Any] = {name: old[name] for name in old.files} | arrays
    atomic.write_with(path, lambda file: np.savez_compressed(file, **kept))


def edit_rows(trial: Trial, change: Callable[[dict[str, Any]], Sequence[dict[str, Any]]], key: str = "final") -> None:
    """Replaces each row of artefacts.json by the ones that `change` makes of it."""
    path = trial.folder / "artefacts.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content[key] = [made for row in content[key] for made in change(row)]
    path.write_text(json.dumps(content), encoding="utf-8")


def trial_of(experiment: Experiment, arm: str) -> Trial:
    """The first trial of the arm whose name holds `arm`."""
    return next(trial for trial in experiment.trials if arm in trial.arm)
