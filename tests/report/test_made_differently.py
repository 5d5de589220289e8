"""What the page says when trials of one experiment were not made alike."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from segsuite.experiment import Experiment
from segsuite.io import atomic, manifest
from segsuite.report.answers import find_answers
from segsuite.report.gather import gather
from segsuite.report.methods import methods
from segsuite.report.overview import overview
from segsuite.report.sections.base import Material
from segsuite.report.style import arm_styles
from tests.report.runs import MANIFEST, experiment_in, finish

OTHER_CODE = {"code": {"commit": "fedcba9876543210", "sources_sha256": "beefbeefbeefbeef", "dirty": True}}


def material_of(experiment: Experiment) -> Material:
    gathered = gather(experiment)
    return Material(gathered, find_answers(gathered), arm_styles(gathered), False)


def notices(experiment: Experiment) -> list[str]:
    return list(overview(material_of(experiment)).notices)


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """Three arms of two finished seeds, all made alike."""
    made = experiment_in(tmp_path, images=2, seeds=(0, 1))
    finish(made)
    return made


def remake(experiment: Experiment, number: int, change: Mapping[str, Any]) -> None:
    """Gives the trial the manifest of an earlier version, alike but for `change`."""
    atomic.write_json(experiment.trials[number].folder / "manifest.json", MANIFEST | change)


def test_trials_that_were_made_alike_have_no_notice(experiment: Experiment) -> None:
    assert notices(experiment) == []


def test_the_same_sources_of_another_commit_are_the_same_code(experiment: Experiment) -> None:
    remake(experiment, 1, {"code": MANIFEST["code"] | {"commit": "1" * 40}})
    assert notices(experiment) == []


def test_other_code_is_named_with_its_trials(experiment: Experiment) -> None:
    remake(experiment, 3, OTHER_CODE)
    (notice,) = notices(experiment)
    assert (
        "different versions of the code: commit 0123456789ab, sources feedfacefeedface (5 trials) and commit "
        "fedcba987654 with uncommitted changes, sources beefbeefbeefbeef (nearest_conv seed 1)." in notice
    )
    assert "fedcba9876543210 with uncommitted changes" in dict(methods(material_of(experiment)))["Commit"]


def test_other_packages_are_named_with_their_versions(experiment: Experiment) -> None:
    remake(experiment, 0, {"packages": MANIFEST["packages"] | {"torch": "2.11.0"}, "python": "3.12.0"})
    (notice,) = notices(experiment)
    assert "torch 2.15.0 (5 trials) and 2.11.0 (nearest_conv seed 0)" in notice
    assert "python 3.11.7 (5 trials) and 3.12.0 (nearest_conv seed 0)" in notice
    assert "numpy" not in notice


def test_a_trial_that_went_on_with_other_code_is_named(experiment: Experiment) -> None:
    folder = experiment.trials[0].folder
    manifest.add(folder, MANIFEST | OTHER_CODE, continues=True)
    (notice,) = notices(experiment)
    assert "feedfacefeedface, then commit fedcba987654 with uncommitted changes" in notice
    assert "(nearest_conv seed 0)" in notice
    manifest.add(folder, MANIFEST, continues=False)
    assert notices(experiment) == [], "what began anew has nothing of the attempts before"


def test_trials_that_should_share_initial_weights_and_do_not_are_named(experiment: Experiment) -> None:
    for number in range(6):
        remake(experiment, number, {"weights": {"resnet18.safetensors": ("bb" if number == 5 else "aa") * 32}})
    (notice,) = notices(experiment)
    assert "SHA-256 aaaaaaaaaaaa... (5 trials)" in notice
    assert "SHA-256 bbbbbbbbbbbb... (transposed_k4 seed 1)" in notice


def test_encoders_of_their_own_have_weights_of_their_own(tmp_path: Path) -> None:
    made = experiment_in(tmp_path, images=2, seeds=(0,), compare={"model.encoder": ["resnet18", "resnet34"]})
    finish(made)
    for number, digest in enumerate(("aa", "bb")):
        remake(made, number, {"weights": {f"{number}.safetensors": digest * 32}})
    assert notices(made) == []


@pytest.mark.parametrize("found", ["", "[]", '{"code": null, "packages": 3, "weights": [1]}', "\0"])
def test_a_damaged_manifest_tells_nothing_and_breaks_nothing(experiment: Experiment, found: str) -> None:
    (experiment.trials[0].folder / "manifest.json").write_text(found)
    assert [notice for notice in notices(experiment) if "(manifest.json cannot be read)" not in notice] == []
    json.dumps(dict(methods(material_of(experiment))))
