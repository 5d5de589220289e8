"""Sections on probabilities and rare classes: there when a trial left them, and saying what they are."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segsuite.experiment import Experiment
from segsuite.report.answers import find_answers
from segsuite.report.build import build_report
from segsuite.report.export import results_csv
from segsuite.report.gather import gather
from segsuite.report.sections import imbalance, precision_recall, reliability
from segsuite.report.sections.base import Material, Section
from segsuite.report.sections.panels import Panels
from segsuite.report.style import arm_styles
from tests.report.probability_runs import finish_with_probabilities
from tests.report.runs import experiment_in, finish

OURS = ("imbalance", "precision-recall", "reliability")
BLIND_ARM, BLIND_CLASSES = "upsampler=transposed_k4", ("wire", "marker", "spot")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Three arms: the first is underconfident, the last blind to three classes."""
    experiment = experiment_in(tmp_path_factory.mktemp("made"), images=6)
    assert experiment.arms[2] == BLIND_ARM
    finish_with_probabilities(
        experiment,
        skill=lambda trial: 6.0,
        temperature=lambda trial: 3.0 if trial.arm == experiment.arms[0] else 1.0,
        blind=lambda trial: BLIND_CLASSES if trial.arm == BLIND_ARM else (),
    )
    return experiment


def material_of(experiment: Experiment) -> Material:
    gathered = gather(experiment)
    return Material(gathered, find_answers(gathered), arm_styles(gathered))


def figure_of(section: Section | None, name: str) -> Any:
    assert section is not None
    return next(figure for figure in section.figures if figure.name == name)


def results(experiment: Experiment, arm: str) -> list[dict[str, Any]]:
    return [json.loads((one.folder / "result.json").read_text()) for one in experiment.trials if one.arm == arm]


def test_they_are_left_out_without_their_data(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path, images=3)
    finish(experiment)
    assert not {section.id for section in build_report(experiment).sections} & set(OURS)


def test_they_are_in_the_page_with_their_data(made: Experiment) -> None:
    report = build_report(made, with_images=False)
    assert {section.id for section in report.sections} >= set(OURS)
    names = [name for name, _ in report.plotly_figures()]
    assert len(names) == len(set(names))
    assert "does not find wire, marker and spot" in report.page()


def test_an_arm_that_is_blind_to_classes_is_named_with_the_scores_that_hide_it(made: Experiment) -> None:
    section = imbalance.build(material_of(made))
    assert section is not None
    (warning,) = section.warnings
    accuracy = np.mean([one["scores"]["pixel_accuracy"] for one in results(made, BLIND_ARM)])
    miou = np.mean([one["scores"]["miou"] for one in results(made, BLIND_ARM)])
    assert warning == (
        "transposed_k4 does not find wire, marker and spot (recall below 1 %). Its pixel accuracy of "
        f"{accuracy:.3f} and micro IoU of {accuracy / (2 - accuracy):.3f} hide that; its mIoU is {miou:.3f}."
    )


def test_micro_iou_is_that_of_the_summed_counts(made: Experiment) -> None:
    with np.load(made.trials[0].folder / "counts.npz") as arrays:
        true, false, missed = arrays["counts"].sum(axis=(0, 1))
    accuracy = true / (true + missed)
    assert accuracy / (2 - accuracy) == pytest.approx(true / (true + false + missed))


def test_a_line_goes_through_the_means_of_the_groups(made: Experiment) -> None:
    figure = figure_of(imbalance.build(material_of(made)), "rare-classes")
    line = next(trace for trace in figure.data if trace["name"] == "transposed_k4" and "lines" in trace["mode"])
    assert line["text"] == [
        *("pixel accuracy", "micro IoU", "mIoU", ""),
        *("head mIoU", "body mIoU", "tail mIoU", ""),
    ]
    tail = [one["groups"]["frequency"]["tail"]["miou"] for one in results(made, BLIND_ARM)]
    assert line["y"][6] == pytest.approx(np.mean(tail), abs=1e-4)
    assert line["y"][3] is None
    seeds = next(trace for trace in figure.data if trace["name"] == "transposed_k4" and trace["mode"] == "markers")
    assert len(seeds["y"]) == 6 * 3


def test_groups_list_their_classes_with_shares(made: Experiment) -> None:
    section = imbalance.build(material_of(made))
    assert section is not None
    tail = next(line for line in section.details if line.startswith("Tail: "))
    assert all(f"{name} (" in tail for name in ("marker", "spot"))


def test_sizes_that_no_object_has_are_left_out(made: Experiment) -> None:
    figure = figure_of(imbalance.build(material_of(made)), "object-size")
    assert figure.layout["xaxis"]["ticktext"] == ["small", "medium"]


def test_curves_are_precision_at_equal_steps_of_recall(made: Experiment) -> None:
    figure = figure_of(precision_recall.build(material_of(made)), "precision-recall")
    trace = figure.data[0]
    seeds = []
    for trial in made.trials:
        if trial.arm == made.arms[0]:
            with np.load(trial.folder / "histograms.npz") as arrays:
                false, true = (counts[::-1].cumsum() for counts in arrays["of_class"][0])
            steps = [np.flatnonzero(true >= share * true[-1] - 1e-6)[0] for share in np.arange(1, 41) / 40]
            seeds.append([true[place] / (true[place] + false[place]) for place in steps])
    assert figure.layout["annotations"][0]["text"].startswith("<b>background, ")
    np.testing.assert_allclose(trace["y"], np.mean(seeds, axis=0), atol=6e-4)


def test_every_class_has_a_panel_with_every_arm_and_their_predictions(made: Experiment) -> None:
    figure = figure_of(precision_recall.build(material_of(made)), "precision-recall")
    panels = {trace["xaxis"] for trace in figure.data}
    assert len(panels) == 8
    for panel in panels:
        traces = [trace for trace in figure.data if trace["xaxis"] == panel]
        assert [trace["mode"] for trace in traces] == ["lines"] * 3 + ["markers"]
        assert len(traces[-1]["x"]) == 3
    assert sum(trace["showlegend"] for trace in figure.data) == 3


def test_a_class_that_is_never_predicted_is_marked_at_zero(made: Experiment) -> None:
    figure = figure_of(precision_recall.build(material_of(made)), "precision-recall")
    spot = figure.data[-1]
    assert (spot["x"][2], spot["y"][2]) == (0, 0)
    assert spot["x"][0] > 0


def test_the_table_has_the_average_precision_of_each_class(made: Experiment) -> None:
    section = precision_recall.build(material_of(made))
    assert section is not None
    assert section.table is not None
    names = [title for title, _ in section.table.columns]
    values = [one["ranking"]["average_precision"]["spot"] for one in results(made, made.arms[1])]
    assert section.table.rows[1][names.index("spot")].value == pytest.approx(np.mean(values))


def test_damaged_histograms_leave_the_other_trials(made: Experiment, tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path, images=3)
    finish_with_probabilities(experiment)
    (experiment.trials[0].folder / "histograms.npz").write_bytes(b"PK\x03\x04")
    (experiment.trials[1].folder / "histograms.npz").unlink()
    figure = figure_of(precision_recall.build(material_of(experiment)), "precision-recall")
    assert len([trace for trace in figure.data if trace["xaxis"] == "x" and trace["mode"] == "lines"]) == 3


def test_the_reliability_diagram_pools_the_seeds(made: Experiment) -> None:
    figure = figure_of(reliability.build(material_of(made)), "reliability")
    traces = [trace for trace in figure.data if trace.get("name") == "bilinear_conv"]
    found = [one["calibration"]["reliability"] for one in results(made, made.arms[1])]
    pixels = np.array([one["pixels"] for one in found], float)
    right = np.array([[value or 0 for value in one["accuracy"]] for one in found]) * pixels
    shown = pixels.sum(0) >= reliability.FEWEST_PIXELS
    np.testing.assert_allclose(traces[0]["y"], right.sum(0)[shown] / pixels.sum(0)[shown], atol=1e-4)
    np.testing.assert_allclose(traces[1]["y"], (pixels.sum(0) / pixels.sum())[shown], rtol=1e-2)


def test_arms_that_claim_too_little_are_named(made: Experiment) -> None:
    section = reliability.build(material_of(made))
    assert section is not None
    assert "nderconfident: nearest_conv (\N{MINUS SIGN}0." in section.notes[0]


def test_calibration_error_and_brier_score_have_a_dot_a_seed(made: Experiment) -> None:
    section = reliability.build(material_of(made))
    for name in ("ece", "brier"):
        figure = figure_of(section, f"calibration-{name}")
        expected = [one["calibration"][name] for one in results(made, made.arms[0])]
        assert figure.data[0]["x"] == expected
        assert "n = 3 seeds" in figure.caption


@pytest.mark.parametrize("part", ["ranking", "calibration", "groups"])
@pytest.mark.parametrize("damage", [{}, [], "text", None, {"reliability": [1], "frequency": 3, "average_precision": 1}])
def test_a_damaged_part_of_a_result_breaks_no_page(tmp_path: Path, part: str, damage: object) -> None:
    experiment = experiment_in(tmp_path, compare={}, baseline={}, seeds=(0, 1), images=2)
    finish_with_probabilities(experiment)
    path = experiment.trials[0].folder / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {part: damage}))
    assert "<h2>Methods</h2>" in build_report(experiment, with_images=False).page()


def test_the_csv_has_their_numbers_where_a_trial_has_them(made: Experiment, tmp_path: Path) -> None:
    names = ["mean_average_precision", "mean_auc", "ece", "brier", "head_miou", "body_miou", "tail_miou"]
    rows = list(csv.DictReader(io.StringIO(results_csv(gather(made)))))
    result = json.loads((made.trials[0].folder / "result.json").read_text())
    assert float(rows[0]["ece"]) == result["calibration"]["ece"]
    assert float(rows[0]["tail_miou"]) == result["groups"]["frequency"]["tail"]["miou"]
    assert set(names) <= set(rows[0])
    without = experiment_in(tmp_path, images=2)
    finish(without)
    assert not set(names) & set(next(csv.reader(io.StringIO(results_csv(gather(without))))))


@pytest.mark.parametrize("count", [1, 2, 4, 5, 11])
def test_panels_do_not_overlap_and_stay_inside(count: int) -> None:
    for layout in Panels([str(number) for number in range(count)], "across", "up").layouts(3):
        axes = [(layout[f"xaxis{k}"], layout[f"yaxis{k}"]) for k in ["", *range(2, count + 1)]]
        boxes = [(*x["domain"], *y["domain"]) for x, y in axes]
        assert all(0 <= left < right <= 1 and 0 <= bottom < top <= 1 for left, right, bottom, top in boxes)
        for place, (left, right, bottom, top) in enumerate(boxes):
            for other in boxes[:place]:
                assert right <= other[0] or other[1] <= left or top <= other[2] or other[3] <= bottom
        assert len(layout["annotations"]) == count
