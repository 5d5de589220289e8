"""The section on losses: what each arm minimised, its weights, the size of its gradient, and what that means."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from segsuite.config import Optimizer
from segsuite.config.loss import Loss
from segsuite.experiment import Experiment
from segsuite.io import atomic
from segsuite.report.answers import find_answers
from segsuite.report.build import build_report
from segsuite.report.export import report_json, results_csv
from segsuite.report.gather import gather
from segsuite.report.losses import loss_words
from segsuite.report.sections import losses
from segsuite.report.sections.base import Material, Section
from segsuite.report.style import arm_styles
from segsuite.train.optimizers import build_optimizer
from tests.report.runs import dataset_of, experiment_in, finish

LOSSES = {
    "ce": {"loss": {"name": "cross_entropy"}},
    "weighted": {"loss": {"name": "cross_entropy", "class_weights": "median_frequency"}},
    "focal": {"loss": {"name": "focal", "gamma": 5}},
}
NORMS = {"ce": 1.0, "weighted": 2.5, "focal": 0.25}


def compared(folder: Path, matched: bool = False, seeds: tuple[int, ...] = (0, 1), **train: Any) -> Experiment:
    """Three losses, finished, whose gradients are NORMS times cross entropy's, a little more with each seed."""
    experiment = experiment_in(
        folder,
        {"objective": LOSSES},
        seeds=seeds,
        baseline={"objective": "ce"},
        images=2,
        train={"epochs": 2, "match_gradient_norm": matched, **train},
    )
    finish(experiment)
    classes = dataset_of(experiment).classes
    for trial in experiment.trials:
        path, name = trial.folder / "result.json", trial.arm.partition("=")[2] or trial.arm
        relative = NORMS[name] * (1 + 0.1 * trial.seed * (name != "ce"))
        weights = {label: 2.0**place for place, label in enumerate(classes)}
        measured = {
            "loss_weights": {"class_weights": weights} if name == "weighted" else {},
            "loss_gradient_norm": 0.002 * relative,
            "loss_reference_norm": 0.002,
            "loss_factor": 1 / relative if matched else 1.0,
        }
        atomic.write_json(path, json.loads(path.read_text()) | measured)
    return experiment


def material_of(experiment: Experiment) -> Material:
    gathered = gather(experiment)
    return Material(gathered, find_answers(gathered), arm_styles(gathered))


def section_of(experiment: Experiment) -> Section:
    section = losses.build(material_of(experiment))
    assert section is not None
    return section


def cells(section: Section) -> dict[str, dict[str, str]]:
    """Arm -> column -> text."""
    assert section.table is not None
    titles = [title for title, _ in section.table.columns]
    return {row[0].text: dict(zip(titles, (cell.text for cell in row), strict=True)) for row in section.table.rows}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return compared(tmp_path_factory.mktemp("losses"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "cross_entropy"}, "cross entropy"),
        ({"name": "cross_entropy", "label_smoothing": 0.1}, "cross entropy (label smoothing 0.1)"),
        ({"name": "focal"}, "focal (gamma 2)"),
        ({"name": "focal", "gamma": 0}, "focal (gamma 0)"),
        ({"name": "cross_entropy", "class_weights": [1, 2]}, "cross entropy (class weights: as given)"),
        (
            {"name": "cross_entropy", "class_weights": {"rule": "log", "c": 1.1, "clip": [0.5, 2]}},
            "cross entropy (class weights: log c 1.1 clip 0.5 to 2)",
        ),
        ({"name": "class_balanced_cross_entropy"}, "class balanced cross entropy (beta 0.9999999)"),
        ({"name": "dice", "squared": True, "average": "all", "smooth": 1}, "dice (average: all, smooth 1, squared)"),
        ({"name": "tversky"}, "tversky (alpha 0.3, beta 0.7)"),
        (
            {"name": "unified_focal", "rare_classes": ["a", "b"]},
            "unified focal (rare classes: a, b, tversky share 0.5, delta 0.6, gamma 0.5)",
        ),
        (
            {"name": "sum", "terms": [{"name": "cross_entropy"}, {"name": "dice", "weight": 0.5}]},
            "cross entropy + 0.5 \N{MULTIPLICATION SIGN} dice",
        ),
    ],
)
def test_a_loss_is_named_in_words(settings: Mapping[str, Any], words: str) -> None:
    assert loss_words(TypeAdapter(Loss).validate_python(settings)) == words


def test_the_section_is_there_only_when_losses_differ(tmp_path: Path, made: Experiment) -> None:
    other = experiment_in(tmp_path, images=2)
    finish(other)
    assert losses.build(material_of(other)) is None
    assert "losses" in {section.id for section in build_report(made, with_images=False).sections}


def test_every_arm_has_its_loss_and_the_norm_of_its_gradient_by_that_of_cross_entropy(made: Experiment) -> None:
    found = cells(section_of(made))
    assert found["ce (baseline)"]["gradient / CE's"] == "1"
    assert found["weighted"]["loss"] == "cross entropy (class weights: median frequency)"
    assert found["weighted"]["gradient / CE's"] == f"{2.5 * 1.05:.3g}"
    assert found["weighted"]["over seeds"] == "2.5 to 2.75"
    assert "factor" not in found["focal"]


def test_class_weights_stand_from_the_most_frequent_class_to_the_rarest(made: Experiment) -> None:
    (figure,) = section_of(made).figures
    (trace,) = figure.data
    reference = gather(made).reference
    assert reference is not None
    pixels = reference.label_pixels().sum(axis=0)
    order = sorted((p for p in range(len(pixels)) if pixels[p]), key=lambda place: -pixels[place])
    assert trace["text"] == [[f"{2.0**place:.3g}" for place in order]]
    assert figure.layout["xaxis"]["ticktext"][0].startswith(f"{reference.classes[order[0]]}<br>")
    least, most = order.index(min(order)), order.index(max(order))
    assert (trace["z"][0][least], trace["z"][0][most]) == (0, 1)


def test_matched_arms_show_the_factor(tmp_path: Path) -> None:
    section = section_of(compared(tmp_path, matched=True, seeds=(0,)))
    found = cells(section)
    assert (found["focal"]["loss"], found["focal"]["factor"]) == ("focal (gamma 5), matched", "4")
    assert losses.MATCHED in section.notes[0]


def test_an_arm_without_a_result_has_its_loss_and_no_norm(tmp_path: Path) -> None:
    experiment = compared(tmp_path, seeds=(0,))
    (experiment.trials[2].folder / "result.json").unlink()
    found = cells(section_of(experiment))
    assert (found["focal"]["loss"], found["focal"]["gradient / CE's"]) == ("focal (gamma 5)", "-")


@pytest.mark.parametrize(
    ("train", "note"),
    [
        ({}, losses.ADAMW),
        ({"gradient_clip": 1.0}, f"{losses.CLIPPED} {losses.UNMATCHED}"),
        ({"optimizer": {"name": "sgd"}}, f"{losses.SGD} {losses.UNMATCHED}"),
    ],
)
def test_the_note_is_about_the_optimizer_of_the_arms(tmp_path: Path, train: dict[str, Any], note: str) -> None:
    assert section_of(compared(tmp_path, seeds=(0,), **train)).notes == (note,)


def moved(settings: Optimizer, factor: float) -> torch.Tensor:
    """Where 30 steps bring the weights of a layer whose loss is multiplied by `factor`."""
    generator = torch.Generator().manual_seed(0)
    layer = torch.nn.Linear(8, 8)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    optimizer = build_optimizer(settings, layer.parameters(), [])
    for _ in range(30):
        x = torch.randn(16, 8, generator=generator)
        optimizer.zero_grad()
        (factor * (layer(x) - x.square()).square().mean()).backward()
        optimizer.step()
    return layer.weight.detach()


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_a_factor_of_the_loss_changes_no_step_of_adamw_with_weight_decay_but_those_of_sgd(factor: float) -> None:
    """What the notes claim."""
    adamw = Optimizer(learning_rate=0.01, weight_decay=0.1)
    torch.testing.assert_close(moved(adamw, factor), moved(adamw, 1.0), rtol=0, atol=1e-4)
    sgd = Optimizer(name="sgd", learning_rate=1e-4)
    assert (moved(sgd, factor) - moved(sgd, 1.0)).abs().max() > 0.01


def test_csv_and_json_have_the_numbers_of_the_results(made: Experiment) -> None:
    rows = list(csv.DictReader(io.StringIO(results_csv(gather(made)))))
    result = json.loads((made.trials[1].folder / "result.json").read_text())
    assert made.trials[1].arm.endswith("weighted")
    assert float(rows[1]["loss_gradient_norm"]) == result["loss_gradient_norm"]
    assert rows[1]["loss"] == "cross entropy (class weights: median frequency)"
    for name, weight in result["loss_weights"]["class_weights"].items():
        assert float(rows[1][f"loss_weights/class_weights/{name}"]) == weight
    assert rows[0][f"loss_weights/class_weights/{name}"] == ""
    report = report_json(material_of(made), ())
    of_arm = report["losses"][made.trials[1].arm]
    assert of_arm["class_weights"] == result["loss_weights"]
    assert of_arm["gradient_by_cross_entropy"] == {"0": pytest.approx(2.5), "1": pytest.approx(2.75)}
    assert report["trials"][1]["loss_gradient_norm"] == result["loss_gradient_norm"]


@pytest.mark.parametrize("key", ["loss_weights", "loss_gradient_norm", "loss_reference_norm", "loss_factor"])
@pytest.mark.parametrize("damage", [None, "text", [1], {"class_weights": 3}, {"class_weights": {"sky": "x"}}, 0])
def test_a_damaged_measurement_breaks_no_page(made: Experiment, key: str, damage: object) -> None:
    path = made.trials[1].folder / "result.json"
    whole = path.read_text()
    try:
        path.write_text(json.dumps(json.loads(whole) | {key: damage}))
        assert section_of(made).table is not None
        assert results_csv(gather(made))
    finally:
        path.write_text(whole)
