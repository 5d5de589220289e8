"""docs/guides/networks.md: its experiments are valid, and it names every setting of the suite's own networks."""

import re
from pathlib import Path

import pytest

from segsuite.config import DeepLabV3PlusModel, FcnModel, UNetModel
from segsuite.experiment import load

GUIDE = (Path(__file__).parents[2] / "docs/guides/networks.md").read_text("utf-8")
EXPERIMENTS = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("text", EXPERIMENTS, ids=range(len(EXPERIMENTS)))
def test_experiments_of_the_guide_are_valid(text: str, tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text(text)
    assert load(tmp_path / "e.yaml").trials


def test_every_network_has_an_experiment() -> None:
    assert len(EXPERIMENTS) == 4


@pytest.mark.parametrize("model", [UNetModel, FcnModel, DeepLabV3PlusModel])
def test_every_setting_is_named(model: type[UNetModel]) -> None:
    assert [setting for setting in model.model_fields if setting != "name" and f"`{setting}`" not in GUIDE] == []
