"""The guide's promise: a new upsampler is one file and one line, and the contract applies to it by itself."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
GUIDE = REPOSITORY / "docs" / "guides" / "upsamplers.md"

PLUGIN = """
import segsuite.upsamplers

name, _, place = {line!r}.strip().rstrip(",").partition(": ")
segsuite.upsamplers.UPSAMPLERS[name.strip('"')] = place.strip('"').replace("segsuite.upsamplers.", "")
"""


@pytest.fixture
def added(tmp_path: Path) -> dict[str, str]:
    """An environment in which the guide's upsampler exists: its file, and a plugin that adds its line."""
    file, line = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(file.splitlines()) <= 30
    (tmp_path / "nearest_conv1.py").write_text(file)
    (tmp_path / "its_line.py").write_text(PLUGIN.format(line=line))
    return {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"}


@pytest.mark.slow
def test_the_guide_s_upsampler_passes_the_contract(added: dict[str, str]) -> None:
    contract = ["-p", "its_line", "-q", "tests/contracts/test_upsamplers.py", "-k", "nearest_conv1"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *contract],
        cwd=REPOSITORY,
        env=added,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed is not None
    assert int(passed[1]) >= 20


def test_the_guide_s_upsampler_can_be_used_in_an_experiment(added: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text(
        "data: {name: shapes}\nmodel: {name: unet}\ncompare: {model.upsampler: [bilinear_conv, nearest_conv1]}\n"
    )
    code = f"import its_line, segsuite.cli; segsuite.cli.main(['plan', {str(tmp_path / 'e.yaml')!r}])"
    ran = subprocess.run([sys.executable, "-c", code], env=added, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "nearest_conv1" in ran.stdout
