"""Classes by frequency with their groups, scores of many arms, and the spread from image to image."""

import json
from pathlib import Path

import numpy as np
import pytest

from segsuite.experiment import Experiment
from segsuite.metrics.groups import image_miou
from segsuite.report.answers import find_answers
from segsuite.report.gather import gather
from segsuite.report.overview import overview
from segsuite.report.sections import classes, image_scores, imbalance
from segsuite.report.sections.base import Figure, Material, Section
from segsuite.report.sections.class_order import class_order
from segsuite.report.sections.score_profile import MOST_LINES
from segsuite.report.style import arm_styles
from tests.report.probability_runs import finish_with_probabilities
from tests.report.runs import experiment_in, finish

SMOOTHINGS = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
BLIND = {"label_smoothing=0.1": ("spot",), "label_smoothing=0.3": ("spot",), "label_smoothing=0.5": ("spot", "wire")}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Six arms, of which three are blind to some class."""
    experiment = experiment_in(
        tmp_path_factory.mktemp("rare"),
        {"loss.label_smoothing": SMOOTHINGS},
        seeds=(0, 1),
        baseline={"loss.label_smoothing": 0.0},
        images=4,
    )
    assert len(experiment.arms) > MOST_LINES
    finish_with_probabilities(experiment, lambda trial: 6.0, blind=lambda trial: BLIND.get(trial.arm, ()))
    return experiment


def material_of(experiment: Experiment) -> Material:
    gathered = gather(experiment)
    return Material(gathered, find_answers(gathered), arm_styles(gathered))


def figure_of(section: Section | None, name: str) -> Figure:
    assert section is not None
    return next(figure for figure in section.figures if figure.name == name)


def set_training_shares(experiment: Experiment, shares: dict[str, float]) -> None:
    for trial in experiment.trials:
        path = trial.folder / "result.json"
        result = json.loads(path.read_text())
        result["groups"]["training_share"] = shares
        path.write_text(json.dumps(result))


def test_classes_stand_by_their_share_of_the_training_pixels(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path, compare={}, baseline={}, seeds=(0,), images=2)
    finish_with_probabilities(experiment)
    order = class_order(material_of(experiment))
    assert order is not None
    shares = {name: (place + 1) / 100 for place, name in enumerate(order.names)}
    set_training_shares(experiment, shares)
    turned = class_order(material_of(experiment))
    assert turned is not None
    assert turned.names == order.names[::-1]
    assert turned.training == tuple(shares[name] for name in turned.names)
    assert turned.scored == order.scored[::-1]
    assert turned.ticks[0] == f"{turned.names[0]}<br>{100 * shares[turned.names[0]]:.2g} %"


def test_without_training_shares_the_scored_ones_are_told(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path, compare={}, baseline={}, seeds=(0,), images=2)
    finish(experiment)
    order = class_order(material_of(experiment))
    assert order is not None
    assert order.training is None
    assert list(order.scored) == sorted(order.scored, reverse=True)
    assert sum(order.scored) == pytest.approx(1)
    assert "scored pixels" in order.told


def test_the_differences_are_divided_into_the_groups(made: Experiment) -> None:
    figure = figure_of(classes.build(material_of(made)), "classes-difference")
    order = class_order(material_of(made))
    assert order is not None
    assert order.groups is not None
    assert [mark["text"] for mark in figure.layout["annotations"]] == list(dict.fromkeys(order.groups))
    first_tail = order.groups.index("tail")
    assert figure.layout["shapes"][-1]["x0"] == first_tail - 0.5


def test_both_splits_have_bars_of_their_shares(made: Experiment) -> None:
    figure = figure_of(classes.build(material_of(made)), "classes-frequency")
    assert [trace["name"] for trace in figure.data] == ["training split", "scored split"]
    assert all(sum(trace["y"]) == pytest.approx(1) for trace in figure.data)


def test_many_arms_have_a_row_of_means_each(made: Experiment) -> None:
    figure = figure_of(imbalance.build(material_of(made)), "rare-classes")
    (trace,) = figure.data
    assert figure.layout["xaxis"]["ticktext"] == [
        *("pixel<br>accuracy", "micro<br>IoU", "mIoU", "head<br>mIoU", "body<br>mIoU", "tail<br>mIoU"),
    ]
    results = [json.loads((one.folder / "result.json").read_text()) for one in made.trials if one.arm == made.arms[5]]
    assert trace["z"][5][2] == pytest.approx(np.mean([one["scores"]["miou"] for one in results]))
    tails = [one["groups"]["frequency"]["tail"]["miou"] for one in results]
    assert trace["z"][5][5] == pytest.approx(np.mean(tails))
    assert "2 seeds: " in trace["customdata"][5][5]
    assert "n = 2 seeds" in figure.caption


def test_micro_iou_is_that_of_the_summed_counts(made: Experiment) -> None:
    figure = figure_of(imbalance.build(material_of(made)), "rare-classes")
    expected = []
    for trial in made.trials:
        if trial.arm == made.arms[0]:
            with np.load(trial.folder / "counts.npz") as arrays:
                true, false, missed = arrays["counts"].sum(axis=(0, 1))
            expected.append(true / (true + false + missed))
    assert figure.data[0]["z"][0][1] == pytest.approx(np.mean(expected))


def test_arms_that_are_blind_to_the_same_classes_share_a_warning(made: Experiment) -> None:
    section = imbalance.build(material_of(made))
    assert section is not None
    of_two, of_one = section.warnings
    assert of_two.startswith("label_smoothing=0.1 and label_smoothing=0.3 do not find spot (recall below 1 %). Their ")
    assert of_one.startswith("label_smoothing=0.5 does not find ")
    accuracies = [
        json.loads((one.folder / "result.json").read_text())["scores"]["pixel_accuracy"]
        for one in made.trials
        if one.arm in list(BLIND)[:2]
    ]
    assert f"pixel accuracy of {min(accuracies):.3f} to {max(accuracies):.3f}" in of_two


def test_the_quantiles_over_images_are_means_of_those_of_the_seeds(made: Experiment) -> None:
    figure = figure_of(image_scores.build(material_of(made)), "image-miou")
    medians = []
    for trial in made.trials:
        if trial.arm == made.arms[0]:
            with np.load(trial.folder / "counts.npz") as arrays:
                medians.append(np.quantile(image_miou(arrays["counts"]), [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]))
    low, p5, p25, median, p75, p95, high = np.mean(medians, axis=0)
    line, bar, ticks, marker = figure.data[:4]
    for trace, expected in ((line, [p5, p95]), (bar, [p25, p75]), (ticks, [low, high]), (marker, [median])):
        assert trace["x"] == pytest.approx(expected)
    assert len(figure.data) == 4 * len(made.arms)


def test_without_quantiles_there_is_no_such_section(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path, compare={}, baseline={}, seeds=(0,), images=2)
    finish(experiment)
    assert image_scores.build(material_of(experiment)) is None


def test_one_is_no_plural(tmp_path: Path) -> None:
    experiment = experiment_in(tmp_path, compare={}, baseline={}, seeds=(0,), images=1)
    seen = overview(material_of(experiment))
    assert seen.alarm == "1 of 1 trial has no result: 1 not started."
    finish(experiment)
    seen = overview(material_of(experiment))
    assert seen.facts[:3] == ["1 arm \N{MULTIPLICATION SIGN} 1 seed", "1 of 1 trial finished", "scored on val, 1 image"]
