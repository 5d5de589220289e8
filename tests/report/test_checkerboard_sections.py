"""The sections about checkerboards say no more than was measured, and draw it legibly."""

import json
from pathlib import Path

import numpy as np
import pytest

from segsuite.experiment import Experiment
from segsuite.report.build import build_report, write_report
from segsuite.report.figure_files import write_figures
from segsuite.report.sections.base import Figure, Section
from tests.report.artefacts import EPOCHS, edit_rows, measure, measure_trial, measured_in, trial_of
from tests.report.browser import Browser, chromium
from tests.report.runs import experiment_in, finish
from tests.report.test_page import BREAKOUT, SCRIPT

SECTIONS = (
    "constants",
    "checkerboard-epochs",
    "checkerboard-spectrum",
    "checkerboard-predictions",
    "checkerboard-crops",
)
PICTURES = ("constant-response-pictures", "checkerboard-spectrum", "checkerboard-phases", "checkerboard-crops")


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return measured_in(tmp_path_factory.mktemp("measured"))


@pytest.fixture(scope="module")
def shown(experiment: Experiment) -> dict[str, Figure]:
    """Its figures."""
    return figures(experiment)


@pytest.fixture
def own(tmp_path: Path) -> Experiment:
    """One that a test may damage."""
    return measured_in(tmp_path, seeds=(0,))


def sections(made: Experiment, with_images: bool = True) -> dict[str, Section]:
    return {section.id: section for section in build_report(made, with_images).sections}


def figures(made: Experiment) -> dict[str, Figure]:
    return {figure.name: figure for section in sections(made).values() for figure in section.figures}


def test_measured_trials_have_their_sections_before_the_images(experiment: Experiment) -> None:
    found = list(sections(experiment))
    places = [found.index(name) for name in (*SECTIONS, "images")]
    assert places == sorted(places)


def test_trials_that_were_not_measured_have_none(tmp_path: Path) -> None:
    made = experiment_in(tmp_path, images=4, seeds=(0,))
    finish(made)
    assert not set(SECTIONS) & set(sections(made))


def test_without_pictures_the_numbers_stay(own: Experiment) -> None:
    for trial in own.trials:
        (trial.folder / "artefacts.npz").unlink()
    found = set(sections(own))
    assert {"constants", "checkerboard-epochs", "checkerboard-predictions"} <= found
    assert not {"checkerboard-spectrum", "checkerboard-crops"} & found


def test_only_arms_above_the_threshold_leave_a_checkerboard(experiment: Experiment) -> None:
    (note,) = sections(experiment)["constants"].notes
    left, _, others = note.partition(": more than 0.1 % of the pixels")
    assert "transposed_k4 (4.4 %)" in left
    assert "bilinear_conv" not in left
    assert "In the logits, but not in classes, there is one of bilinear_conv" in others
    assert "In neither: nearest_conv." in others
    assert "Means of 3 seeds an arm, control subtracted; no test between arms." in others


def test_where_no_arm_leaves_one_it_says_so(own: Experiment) -> None:
    for trial in own.trials:
        measure_trial(trial, 0.0, 0.0)
    (note,) = sections(own)["constants"].notes
    assert "no arm leaves a checkerboard" in note
    assert "0 %" not in note


def test_the_control_is_subtracted_before_anything_is_said(own: Experiment) -> None:
    for trial in own.trials:
        edit_rows(trial, lambda row: [{**row, "control": row["value"]}])
    (note,) = sections(own)["constants"].notes
    assert "no arm leaves a checkerboard" in note


def test_nothing_is_said_of_arms_that_were_not_measured(own: Experiment) -> None:
    (trial_of(own, "nearest_conv").folder / "artefacts.json").unlink()
    found = sections(own)
    told = " ".join(found["constants"].notes) + " ".join(found["checkerboard-epochs"].notes)
    assert "nearest_conv" not in told
    assert "bilinear_conv" in told


def test_what_training_did_is_told_by_start_and_end(own: Experiment) -> None:
    moments = {"nearest_conv": (0.0, 0.02), "bilinear_conv": (0.3, 0.0), "transposed_k4": (0.5, 0.25)}
    for arm, (start, final) in moments.items():
        measure_trial(trial_of(own, arm), start, final)
    (note,) = sections(own)["checkerboard-epochs"].notes
    assert "where there was one at initialisation: transposed_k4 (50 % to 25 %)." in note
    assert "Training removes the one of: bilinear_conv." in note
    assert "Training makes one where there was none: nearest_conv." in note
    assert "before or after" not in note


def test_images_of_the_dataset_are_left_out_on_request(experiment: Experiment) -> None:
    found = sections(experiment, with_images=False)
    assert "checkerboard-crops" not in found
    assert "checkerboard-spectrum" in found


@pytest.mark.parametrize("content", ["", '{"version": 1', "[]", '{"version": 2, "rows": []}', '{"version": 1}'])
def test_a_damaged_file_is_no_measurement(own: Experiment, content: str) -> None:
    for trial in own.trials:
        (trial.folder / "artefacts.json").write_text(content)
        (trial.folder / "artefacts.npz").write_bytes(b"PK damaged")
    assert not set(SECTIONS) & set(sections(own))


def test_trials_measured_with_the_controls_of_an_earlier_version_are_named(own: Experiment) -> None:
    older = trial_of(own, "nearest_conv")
    content = json.loads((older.folder / "artefacts.json").read_text())
    (older.folder / "artefacts.json").write_text(json.dumps(content | {"version": 1}))
    found = sections(own)
    for name in ("constants", "checkerboard-epochs"):
        assert "1 trial was measured by an earlier version of the suite" in found[name].notes[-1]
        assert "delete the run directories" in found[name].notes[-1]
    shown = figures(own)["checkerboard-epochs"]
    of_older = [trace for trace in shown.data if trace.get("name") == "nearest_conv"]
    assert of_older  # flips on constants are what they were
    assert {trace["yaxis"] for trace in of_older} <= {"y", "y2"}


def test_numbers_that_are_not_finite_become_gaps(own: Experiment) -> None:
    for trial in own.trials:
        with np.load(trial.folder / "artefacts.npz") as arrays:
            kept = {name: arrays[name] for name in arrays.files}
        for name, array in kept.items():
            if array.dtype == np.float16:
                kept[name] = np.full_like(array, np.nan if "margin" in name else np.inf)
        np.savez(trial.folder / "artefacts.npz", **kept)
    assert set(SECTIONS) <= set(sections(own))
    assert "NaN" not in build_report(own).page().split('id="data">')[1].split("</script>")[0]


def test_intervals_need_three_seeds(shown: dict[str, Figure], own: Experiment) -> None:
    assert any("error_x" in trace for trace in shown["constant-response"].data)
    assert not any("error_x" in trace for trace in figures(own)["constant-response"].data)


@pytest.mark.parametrize("name", ["constant-response", "checkerboard-predictions"])
def test_captions_name_kind_n_and_unit_of_bars(shown: dict[str, Figure], own: Experiment, name: str) -> None:
    caption = shown[name].caption
    assert "n = 3 seeds an arm" in caption
    assert "95 % t interval over seeds, images taken as fixed" in caption
    assert "No interval: fewer than 3 seeds." in figures(own)[name].caption


def test_captions_name_the_seed_of_pictures(shown: dict[str, Figure]) -> None:
    for name in PICTURES:
        assert "seed 0" in shown[name].caption


def test_exact_zeros_lie_at_the_tick_that_says_zero(shown: dict[str, Figure]) -> None:
    figure = shown["constant-response"]
    axis = figure.layout["xaxis"]
    zero = axis["tickvals"][axis["ticktext"].index("0")]
    seeds = next(trace for trace in figure.data if trace["xaxis"] == "x" and "seed 0: 0 %" in trace["text"][0])
    assert seeds["x"][:3] == [zero] * 3
    assert min(seeds["x"][3:]) > zero
    assert axis["range"][0] < zero


def test_each_arm_has_its_own_colour_in_every_figure(experiment: Experiment, shown: dict[str, Figure]) -> None:
    report = build_report(experiment)
    colours = {style.label: style.colour for style in report.material.styles.values()}
    epochs = shown["checkerboard-epochs"]
    assert {t["name"]: t["line"]["color"] for t in epochs.data if t.get("name") in colours} == colours
    for name in ("constant-response", "checkerboard-predictions"):
        for trace in shown[name].data:
            told = [text.partition("<br>")[0] for text in trace["text"]]
            shades = trace["marker"]["color"]
            expected = [colours[label] for label in told]
            if "control" not in trace["text"][0]:
                assert expected == (shades if isinstance(shades, list) else [shades] * len(told))


def test_all_pictures_of_a_figure_share_one_colour_scale(shown: dict[str, Figure]) -> None:
    for name in PICTURES:
        figure = shown[name]
        axes = [trace["coloraxis"] for trace in figure.data if trace["type"] == "heatmap"]
        assert len(axes) >= 3
        assert len(set(axes)) == 1
        assert figure.layout[axes[0]]["cmin"] < figure.layout[axes[0]]["cmax"]


def test_rings_lie_on_the_peaks_of_a_periodic_map(shown: dict[str, Figure]) -> None:
    figure = shown["checkerboard-spectrum"]
    heat, rings = figure.data[:2]
    side = int(heat["z"]["shape"].split(",")[0])
    periodic = np.random.default_rng(0).standard_normal((8, 8))[np.arange(side)[:, None] % 8, np.arange(side) % 8]
    power = np.fft.fftshift(np.abs(np.fft.fft2(periodic - periodic.mean())) ** 2)
    expected = {
        (round(heat["x0"] + column * heat["dx"], 4), round(heat["y0"] + row * heat["dy"], 4))
        for row, column in zip(*np.nonzero(power > 1e-6 * power.max()), strict=True)
    }
    assert len(expected) == 63
    assert set(zip(rings["x"], rings["y"], strict=True)) == expected


def test_lines_go_from_initialisation_to_the_last_epoch(shown: dict[str, Figure]) -> None:
    figure = shown["checkerboard-epochs"]
    line = next(trace for trace in figure.data if trace.get("name") == "transposed_k4")
    assert [text.split("<br>")[1].split(":")[0] for text in line["text"]] == [f"epoch {epoch}" for epoch in EPOCHS]
    bands = [trace for trace in figure.data if trace.get("fill") == "toself"]
    assert len(bands) == 4 * 3
    assert "Band: lowest to highest seed, n = 3 finished trials an arm" in figure.caption


def test_an_arm_measured_at_another_place_is_left_out_of_the_crops(own: Experiment) -> None:
    folder = trial_of(own, "nearest_conv").folder
    with np.load(folder / "artefacts.npz") as arrays:
        kept = {name: arrays[name] for name in arrays.files}
    np.savez(folder / "artefacts.npz", **(kept | {"final_margin_image": 255 - kept["final_margin_image"]}))
    caption = figures(own)["checkerboard-crops"].caption
    assert "Not measured at this place, and left out: nearest_conv." in caption


def test_hostile_names_are_letters_in_every_figure(tmp_path: Path) -> None:
    compare = {"which": {SCRIPT: {"loss.label_smoothing": 0.1}, BREAKOUT: {"loss.label_smoothing": 0.2}}}
    made = experiment_in(tmp_path, compare, baseline={"which": SCRIPT}, images=4, seeds=(0,))
    finish(made)
    measure(made, lambda trial, moment: 0.1)
    for name, figure in figures(made).items():
        text = json.dumps([figure.data, figure.layout, figure.narrow])
        assert "<script" not in text, name
        assert "<img" not in text, name


def test_plotly_accepts_every_figure(experiment: Experiment) -> None:
    graph_objects = pytest.importorskip("plotly.graph_objects")
    for name, figure in build_report(experiment).plotly_figures():
        assert graph_objects.Figure(figure).to_plotly_json()["data"], name


def test_thirteen_arms_leave_room_for_the_images(tmp_path: Path) -> None:
    compare = {"train.optimizer.learning_rate": [0.001 * (place + 1) for place in range(13)]}
    made = experiment_in(tmp_path, compare, baseline={"train.optimizer.learning_rate": 0.003}, images=2)
    finish(made, only=lambda trial: trial.seed == 0)
    measure(made, lambda trial, moment: 0.01 * (1 + trial.seed))
    # The images section takes up to 2 MB, and keeps to that.
    assert len(build_report(made, with_images=True).page()) < 3_000_000


@pytest.mark.slow
@pytest.mark.skipif(chromium() is None, reason="no Chromium is installed (Debian: apt-get install chromium)")
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (768, True), (390, False), (320, True)])
def test_the_figures_are_drawn_at_every_width_without_a_complaint(
    experiment: Experiment, width: int, dark: bool, tmp_path: Path
) -> None:
    page = write_report(build_report(experiment), tmp_path)
    with Browser() as browser:
        browser.open(page.as_uri(), width=width, dark=dark)
        browser.draw_all()
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.errors == []


@pytest.mark.slow
@pytest.mark.skipif(chromium() is None, reason="no Chromium is installed (Debian: apt-get install chromium)")
def test_the_figures_are_saved_for_papers(shown: dict[str, Figure], tmp_path: Path) -> None:
    pytest.importorskip("kaleido")
    names = ("constant-response", "constant-response-pictures", "checkerboard-spectrum", "checkerboard-crops")
    written = write_figures([shown[name] for name in names], tmp_path)
    assert len(written) == 3 * len(names)
    for path in written:
        assert path.stat().st_size > 5_000
