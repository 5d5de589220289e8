"""What trials measured of checkerboards is read whatever the files hold, and handed on as it is."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segsuite.checkerboard import RENEWED_CONTROLS
from segsuite.config import Checkerboard
from segsuite.experiment import Experiment, Trial
from segsuite.report.build import build_report, write_report
from segsuite.report.checkerboards import Artefacts, at_the_same_place, read_artefacts, read_pictures
from tests.report.artefacts import edit_rows, flips, measured_in, pictures_of, trial_of
from tests.report.test_page import SCRIPT


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return measured_in(tmp_path_factory.mktemp("measured"))


@pytest.fixture
def own(tmp_path: Path) -> Experiment:
    """One that a test may damage."""
    return measured_in(tmp_path, seeds=(0,))


def artefacts_of(trial: Trial) -> Artefacts:
    found = read_artefacts(trial.folder)
    assert found is not None
    return found


def test_every_row_and_picture_that_a_measurement_writes_is_read(tmp_path: Path) -> None:
    from segsuite.train.checkerboard import measure_at_the_end
    from tests.checkerboard.tiny import network
    from tests.train.test_checkerboard import Rectangles

    measure_at_the_end(network(), Rectangles(), range(6), Checkerboard(measure=True, images=1), tmp_path)
    written = json.loads((tmp_path / "artefacts.json").read_text())["final"]
    found = read_artefacts(tmp_path)
    assert found is not None
    assert len(found.final) == sum(row["value"] is not None for row in written) > 20
    with np.load(tmp_path / "artefacts.npz") as arrays:
        assert set(read_pictures(tmp_path)) == set(arrays.files)


@pytest.mark.parametrize(
    "change",
    [
        {"place": SCRIPT},
        {"place": "seam:a b"},
        {"place": 3},
        {"measure": "no_such_measure"},
        {"measure": ["harmonic_share"]},
        {"value": None},
        {"value": "0.5"},
        {"value": True},
        {"value": 10**400},
        {"value": float("nan")},
        {"value": float("inf")},
        {"stride": "8"},
        {"stride": -1},
        {"stride": True},
        {"stride": 10**30},
    ],
)
def test_a_row_that_is_not_what_it_should_be_is_left_out(own: Experiment, change: dict[str, Any]) -> None:
    trial = own.trials[0]
    before = len(artefacts_of(trial).final)
    edit_rows(trial, lambda row: [row, {**row, **change}] if row["measure"] == "harmonic_share" else [row])
    assert len(artefacts_of(trial).final) == before


def test_of_an_earlier_version_the_rows_with_other_controls_are_left_out(own: Experiment) -> None:
    trial = own.trials[0]
    now = artefacts_of(trial)
    content = json.loads((trial.folder / "artefacts.json").read_text())
    (trial.folder / "artefacts.json").write_text(json.dumps(content | {"version": 1}))
    older = artefacts_of(trial)
    assert (now.is_older, older.is_older) == (False, True)
    assert not {row.measure for row in (*older.rows, *older.final)} & set(RENEWED_CONTROLS)
    assert older.final == tuple(row for row in now.final if row.measure not in RENEWED_CONTROLS)


def test_rows_that_are_no_mappings_are_left_out(own: Experiment) -> None:
    trial = own.trials[0]
    before = artefacts_of(trial).final
    edit_rows(trial, lambda row: [row, 3, None, "x", []])  # type: ignore[list-item]
    assert artefacts_of(trial).final == before


def test_of_an_epoch_measured_twice_the_later_one_counts(own: Experiment) -> None:
    trial = own.trials[0]
    edit_rows(trial, lambda row: [row, {**row, "value": 0.25}] if row["value"] is not None else [row], "rows")
    row = artefacts_of(trial).find("decoder", "constant_response_flips", epoch=0)
    assert row is not None
    assert row.value == 0.25


def test_the_excess_is_over_the_control_but_a_ratio_is_itself(own: Experiment) -> None:
    found = artefacts_of(trial_of(own, "transposed_k4"))
    share, ratio = found.find("logits", "harmonic_share"), found.find("prediction", "boundary_length_ratio")
    assert share is not None
    assert ratio is not None
    assert share.excess == share.value - 0.02
    assert ratio.excess == ratio.value > 1


def test_arrays_that_no_figure_can_show_are_left_out(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "artefacts.npz",
        final_spectrum=np.zeros((4, 4, 4), dtype=np.float16),
        final_phase_map=np.zeros((8, 8), dtype=np.float16),
        final_margin=np.zeros((3000, 3000), dtype=np.float16),
        final_margin_image=np.zeros((8, 8, 4), dtype=np.uint8),
        final_margin_label=np.zeros((8, 8), dtype=np.int64),
        final_constant_response=np.array([[SCRIPT]]),
        start_spectrum=np.zeros((0, 4), dtype=np.float16),
    )
    assert set(read_pictures(tmp_path)) == {"final_phase_map"}


def test_no_damage_of_the_arrays_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "artefacts.npz"
    np.savez_compressed(path, **pictures_of(0.1, 16))
    whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    rng = np.random.default_rng(0)
    for number in range(400):
        damaged = whole.copy()
        places = rng.integers(0, len(whole), 1 + number % 3)
        damaged[places] ^= rng.integers(1, 256, len(places)).astype(np.uint8)
        path.write_bytes(damaged[: rng.integers(0, len(whole))].tobytes() if number % 5 == 0 else damaged.tobytes())
        assert isinstance(read_pictures(tmp_path), dict)


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "artefacts.npz", final_phase_map=np.array([[print]], dtype=object))
    assert read_pictures(tmp_path) == {}


def test_the_same_place_is_that_of_most_arms() -> None:
    one, other = np.zeros((2, 2)), np.ones((2, 2))
    pictures = {"a": {"image": one}, "b": {"image": other}, "c": {"image": other}, "d": {}}
    assert list(at_the_same_place(pictures, "image")) == ["b", "c"]


def test_the_table_of_trials_has_each_measure_over_its_control(experiment: Experiment, tmp_path: Path) -> None:
    write_report(build_report(experiment), tmp_path)
    with open(tmp_path / "results.csv", encoding="utf-8", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    for trial in experiment.trials:
        strength, row = flips(trial, "final"), rows[trial.id]
        assert float(row["checkerboard/decoder/constant_response_flips/s8"]) == pytest.approx(strength)
        assert float(row["checkerboard/logits/harmonic_share/s8"]) == pytest.approx(strength, abs=1e-12)
        assert float(row["checkerboard/prediction/boundary_length_ratio"]) == pytest.approx(1.1 + 4 * strength)
        assert "checkerboard/gradient/harmonic_share/s8" not in row


def test_the_json_has_value_and_control_of_each_trial(experiment: Experiment, tmp_path: Path) -> None:
    write_report(build_report(experiment), tmp_path)
    trials = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["trials"]
    for trial, told in zip(experiment.trials, trials, strict=True):
        found = told["checkerboards"]["checkerboard/prediction/blockiness/s8"]
        assert found == {"value": 0.05, "control": 0.03, "excess": pytest.approx(0.02)}
        assert len(told["checkerboards"]) == len(artefacts_of(trial).final)
