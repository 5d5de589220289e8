"""Every file of a run directory, damaged in every way, before every command that reads it: a sentence, no traceback.

Trial k has the k-th file damaged, so that one call of a command meets them all.
"""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from segsuite.cli import main
from segsuite.experiment import Experiment, Trial, load
from segsuite.io import atomic, store, trial_warnings
from tests.report.artefacts import measure
from tests.report.probability_runs import finish_with_probabilities
from tests.report.runs import experiment_in, fail, stop

OF_FINISHED = (
    "result.json", "events.jsonl", "counts.npz", "histograms.npz", "artefacts.json", "artefacts.npz", "manifest.json",
    "warnings.jsonl", "attempts.jsonl", "trial.yaml", "samples", "smaller_batch.json",
)  # fmt: skip
OF_OTHERS = ("events.jsonl", "claim.json", "failure.json", "attempts.jsonl", "smaller_batch.json", "warnings.jsonl")
FILES = [*(("finished", name) for name in OF_FINISHED), *(("open", name) for name in OF_OTHERS)]


def of_other_arrays() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, counts=np.array(["no", "numbers"]), of_class=np.zeros(3), decoder=np.zeros((1, 2, 3, 4)))
    return file.getvalue()


def of_wrong_kinds(name: str, content: bytes) -> bytes:
    """What is well-formed and means nothing: every value of a mapping has another kind."""
    if name.endswith(".npz"):
        return of_other_arrays()
    if name.endswith(".jsonl"):
        return (
            b'{"epoch": "one", "warning": {"a": 1}, "job": [1], "restart": {}}\n[1]\n"text"\n'
            b'{"epoch": 1, "seconds": "x"}\n{"job": "1", "restart": 0, "begin": "noon", "node": []}\n'
        )
    if name.endswith(".json"):
        return json.dumps({key: ["wrong", {"kind": 1}] for key in json.loads(content)}).encode()
    return b"[1, 2, 3]\n"


DAMAGES: dict[str, Callable[[str, bytes], bytes]] = {
    "empty": lambda name, content: b"",
    "cut": lambda name, content: content[: len(content) // 2],
    "not UTF-8": lambda name, content: b"\xff\xfe\x00\xe9" + content[4:] + b"\xff\n",
    "a list": lambda name, content: b'[1, null, "two", NaN]\n',
    "wrong kinds": of_wrong_kinds,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with made.yaml and the runs of as many trials as there are files, all whole."""
    folder = tmp_path_factory.mktemp("whole")
    made = experiment_in(folder, seeds=range(len(FILES) // 2), images=3, size=(32, 48), compare={"model.upsampler": [
        "nearest_conv", "bilinear_conv"]})  # fmt: skip
    finish_with_probabilities(made)
    measure(made, lambda trial, moment: 0.1, side=32)
    for trial, (kind, _) in zip(made.trials, FILES, strict=True):
        trial_warnings.note(trial.folder, "W&B: nothing was logged")
        part = {"job": "7_1", "restart": 0, "node": "n1", "begin": 1}
        atomic.write_text(
            trial.folder / "attempts.jsonl", f"{json.dumps(part)}\n{json.dumps(part | {'end': 9, 'code': 1})}\n"
        )
        batches = {"batch_size": 4, "accumulate": 2, "overfit_batches": 0}
        atomic.write_json(trial.folder / "smaller_batch.json", batches | {"was": batches, "begun": True})
        if kind == "open":
            (trial.folder / "result.json").unlink()
            stop(trial)
    for name, make in (("failure.json", fail), ("claim.json", claim)):
        make(made.trials[FILES.index(("open", name))])
    return folder


def claim(trial: Trial) -> None:
    atomic.write_json(trial.folder / "claim.json", {"host": "h", "pid": 1, "boot": "", "namespace": "", "start": ""})


@pytest.fixture(params=DAMAGES)
def damaged(request: pytest.FixtureRequest, whole: Path, tmp_path: Path) -> Experiment:
    """A copy of `whole` with each file damaged in one trial."""
    shutil.copytree(whole / "runs", tmp_path / "runs")
    yaml = tmp_path / "made.yaml"
    yaml.write_text((whole / "made.yaml").read_text().replace(str(whole), str(tmp_path)))
    experiment = load(yaml)
    for trial, (_, name) in zip(experiment.trials, FILES, strict=True):
        path = trial.folder / name
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            file.write_bytes(DAMAGES[request.param](name, file.read_bytes()))
    return experiment


def test_each_command_says_what_is_damaged(
    damaged: Experiment, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    yaml = str(damaged.path)
    told = {}
    for words in (["status", yaml], ["status", yaml, "--json"], ["plan", yaml], ["why", yaml], ["report", yaml]):
        code = main(words)
        output = capsys.readouterr()
        told[words[0], len(words)] = output.out
        assert code == (1 if words[0] == "status" else 0), output.err
        assert "Traceback" not in output.out + output.err
    for trial in damaged.trials:
        assert main(["why", yaml, trial.id]) == 0
        assert main(["logs", yaml, trial.id]) == 0
    states = dict(zip(FILES, map(store.state, (trial.folder for trial in damaged.trials)), strict=True))
    assert states.pop(("finished", "result.json")) == "damaged"
    assert {state for (kind, _), state in states.items() if kind == "finished"} == {"finished"}
    assert states["open", "failure.json"] == "failed"
    assert "1 damaged" in told["status", 2]
    assert "result.json is" in told["status", 2]
    page = (damaged.folder / "report" / "report.html").read_text()
    assert "result.json is" in page
    if "wrong" not in request.node.name:  # other arrays may be of another version: no damage to tell
        for name in ("counts.npz", "histograms.npz", "artefacts.json", "artefacts.npz", "manifest.json"):
            assert f"seed {damaged.trials[FILES.index(('finished', name))].seed}" in page
            assert f"{name} cannot be read" in page or name == "counts.npz"
    for kind, name in FILES:
        if kind == "open" and name in ("events.jsonl", "warnings.jsonl") and "UTF-8" in request.node.name:
            assert f"{name}: " in told["status", 2]
