"""segsuite.cli: what each command prints and returns, and that a user's mistake is three sentences."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import segsuite
from segsuite.cli import main
from segsuite.experiment import load
from segsuite.io import atomic
from tests.results import whole_result

REPOSITORY = Path(__file__).resolve().parents[1]
TEXT = """\
name: small
question: Which one?
data: {name: shapes, train_images: 8}
model: {name: unet}
compare:
  model.upsampler: [nearest_conv, bilinear_conv]
seeds: [0, 1]
baseline: {model.upsampler: bilinear_conv}
"""


@dataclass(frozen=True)
class Called:
    code: int
    out: str
    error: str


Call = Callable[..., Called]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls the command line in a folder that holds small.yaml."""
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(TEXT)

    def calling(*arguments: str) -> Called:
        capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return Called(code, captured.out, captured.err)

    return calling


def finish(index: int, **record: Any) -> None:
    """Writes the result of the experiment's trial with this index."""
    atomic.write_json(load(Path("small.yaml")).trials[index].folder / "result.json", whole_result(**record))


def test_plan_lists_every_trial_with_its_arm_seed_and_state(call: Call) -> None:
    found = call("plan", "small.yaml")
    lines = [line.split() for line in found.out.splitlines()]
    trials = load(Path("small.yaml")).trials
    marks = {True: ["(baseline)"], False: []}
    assert lines[0] == ["id", "arm", "seed", "state"]
    assert lines[1:5] == [[trial.id, trial.arm, *marks[trial.is_baseline], str(trial.seed), "new"] for trial in trials]
    assert found.out.splitlines()[5] == f"4 trials: 2 arms x 2 seeds, in {Path('runs/small').absolute()}"
    assert (found.code, found.error) == (0, "")


def test_plan_json_has_exactly_the_promised_keys(call: Call) -> None:
    found = json.loads(call("plan", "small.yaml", "--json").out)
    assert list(found) == ["experiment", "trials", "set", "problems", "notes"]
    assert found["experiment"] == "small"
    assert [list(trial) for trial in found["trials"]] == [["id", "arm", "seed", "state", "differences"]] * 4
    assert found["trials"][0] == {
        "id": load(Path("small.yaml")).trials[0].id,
        "arm": "upsampler=nearest_conv",
        "seed": 0,
        "state": "new",
        "differences": {"model.upsampler": "nearest_conv"},
    }


def test_plan_shows_the_state_of_a_finished_trial(call: Call) -> None:
    finish(2)
    assert [trial["state"] for trial in json.loads(call("plan", "small.yaml", "--json").out)["trials"]] == [
        *("new", "new", "finished", "new")
    ]


def test_plan_takes_set(call: Call) -> None:
    found = json.loads(call("plan", "small.yaml", "--json", "--set", "seeds=[7]", "--set", "train.epochs=1").out)
    plain = json.loads(call("plan", "small.yaml", "--json", "--set", "seeds=[7]").out)
    assert [trial["seed"] for trial in found["trials"]] == [7, 7]
    assert not {trial["id"] for trial in found["trials"]} & {trial["id"] for trial in plain["trials"]}


def test_plan_origins_tells_where_each_value_stands(call: Call) -> None:
    found = call("plan", "small.yaml", "--origins", "--set", "train.epochs=3")
    assert 'model.name: "unet"  # small.yaml:4' in found.out
    assert "train.epochs: 3  # --set train.epochs=3" in found.out
    assert found.code == 0


def test_plan_origins_can_be_json(call: Call) -> None:
    found = json.loads(call("plan", "small.yaml", "--origins", "--json").out)
    assert {"key": "data.train_images", "value": 8, "origin": "small.yaml:3"} in found


def test_plan_and_status_write_nothing(call: Call) -> None:
    for command in ("plan", "status"):
        call(command, "small.yaml")
    assert [path.name for path in Path().iterdir()] == ["small.yaml"]


def test_status_of_a_new_experiment(call: Call) -> None:
    found = call("status", "small.yaml")
    assert found.out.splitlines()[0].split() == ["id", "arm", "seed", "state", "epochs", "mIoU", "left"]
    assert found.out.splitlines()[-1] == f"4 new, in {Path('runs/small').absolute()}"
    assert found.code == 0


def test_status_shows_scores_progress_and_failures(call: Call) -> None:
    trials = load(Path("small.yaml")).trials
    finish(0, epochs=20, scores={"miou": 0.7123})
    events = [{"epoch": 0, "miou": 0.25, "seconds": 2.0}, {"epoch": 1, "miou": None, "seconds": 2.0}]
    atomic.write_text(trials[1].folder / "events.jsonl", "".join(json.dumps(event) + "\n" for event in events))
    atomic.write_json(trials[2].folder / "failure.json", {"reason": "the loss became NaN"})
    found = call("status", "small.yaml")
    rows = {line.split()[0]: line for line in found.out.splitlines()[1:5]}
    assert rows[trials[0].id].endswith("finished    20 of 20  0.712")
    assert rows[trials[1].id].endswith("unfinished  2 of 20   0.250")
    assert f"failed: {trials[2].arm}, seed 1: the loss became NaN" in found.out
    assert str(trials[2].folder / "log.txt") in found.out
    assert "1 finished, 1 failed, 1 unfinished, 1 new" in found.out
    assert found.code == 1


def test_status_json_counts_by_state(call: Call) -> None:
    finish(0, epochs=20, scores={"miou": 0.5})
    found = json.loads(call("status", "small.yaml", "--json").out)
    assert found["counts"] == {
        "finished": 1,
        "running": 0,
        "queued": 0,
        "held": 0,
        "failed": 0,
        "damaged": 0,
        "unfinished": 0,
        "unreadable": 0,
        "new": 3,
    }
    assert [trial["miou"] for trial in found["trials"]] == [0.5, None, None, None]


def test_status_watch_ends_when_all_trials_have_ended(call: Call) -> None:
    for index in range(4):
        finish(index, epochs=20, scores={"miou": 0.5})
    assert call("status", "small.yaml", "--watch").code == 0


def test_schema_prints_json(call: Call) -> None:
    found = call("schema")
    assert json.loads(found.out)["title"] == "segsuite experiment"
    assert found.code == 0


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_names_every_command_and_exit_code(call: Call, arguments: list[str]) -> None:
    found = call(*arguments)
    assert found.code == 0
    assert all(re.search(rf"^ +{command} ", found.out, re.MULTILINE) for command in ("run", "plan", "status", "schema"))
    assert "exit codes: 0 done, 1 some trial failed, 2 wrong use, 75" in found.out


@pytest.mark.parametrize("command", ["run", "plan", "status", "schema"])
def test_every_command_has_help(call: Call, command: str) -> None:
    found = call(command, "--help")
    assert (found.code, found.out.startswith(f"usage: segsuite {command}")) == (0, True)


def test_version_is_that_of_the_package(call: Call) -> None:
    assert call("--version").out == f"segsuite {segsuite.__version__}\n"


MISTAKES: dict[str, tuple[list[str], str]] = {
    "command": (["rnu", "small.yaml"], "did you mean 'run'?"),
    "no experiment": (["plan"], "segsuite plan --help"),
    "option": (["plan", "small.yaml", "--jsn"], "did you mean '--json'?"),
    "another command's option": (["run", "small.yaml", "--json"], "`segsuite run --help` shows"),
    "a file unlike any": (["plan", "./nothere.yaml"], "the folder . holds: broken.yaml"),
    "missing file": (["plan", "smal.yaml"], "did you mean small.yaml?"),
    "missing folder": (["plan", "nowhere/small.yaml"], "check the path"),
    "a folder": (["plan", "."], "name a YAML file"),
    "not text": (["plan", "image.yaml"], "name a YAML file"),
    "not yaml": (["plan", "broken.yaml"], "broken.yaml:2"),
    "empty": (["status", "empty.yaml"], "data is required (empty.yaml)"),
    "twice": (["plan", "twice.yaml"], "twice.yaml:3"),
    "set": (["plan", "small.yaml", "--set", "train.epcohs=3"], "did you mean 'epochs'?"),
    "set without value": (["plan", "small.yaml", "--set", "train.epochs"], "--set train.epochs=5"),
    "set on an axis": (["plan", "small.yaml", "--set", "model.upsampler=x"], "would change nothing"),
    "set to a wrong value": (["plan", "small.yaml", "--set", "train.epochs=0"], "--set train.epochs=0"),
    "two at once": (["plan", "small.yaml", "--set", "train.epcohs=3", "--set", "modl.name=x"], "2 things are wrong"),
    "name": (["plan", "small.yaml", "--set", "name=../up"], "is not a plain name"),
    "a huge name": (["plan", "small.yaml", "--set", "name=" + "x" * 10_240], "(10240 characters)"),
    "a surrogate": (["plan", "small.yaml", "--set", "name=\udcff"], "not allowed"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_what_where_and_what_to_do(call: Call, mistake: str) -> None:
    Path("image.yaml").write_bytes(b"\x89PNG\r\n\x1a\n")
    Path("broken.yaml").write_text("name: a\ndata: [1\n")
    Path("empty.yaml").write_text("")
    Path("twice.yaml").write_text("name: a\ntrain: {}\nname: b\n")
    arguments, hint = MISTAKES[mistake]
    found = call(*arguments)
    assert (found.code, found.out) == (2, "")
    lines = found.error.splitlines()
    assert lines[0].startswith("error: ")
    assert lines[-1].startswith("  to do: ")
    assert len(lines) == 3 or all(line.startswith("  - ") for line in lines[1:-1])
    assert any(line.startswith("  where: ") for line in lines) or all(line.endswith(")") for line in lines[1:-1])
    assert hint in found.error
    assert "Traceback" not in found.error
    assert len(found.error) < 1500


@pytest.mark.parametrize("command", ["run", "plan", "status"])
def test_every_command_tells_of_a_missing_file(call: Call, command: str) -> None:
    found = call(command, "smal.yaml")
    assert (found.code, "did you mean small.yaml?" in found.error) == (2, True)


@pytest.mark.parametrize("command", ["plan", "run", "data check"])
def test_a_wrong_root_is_said_once(call: Call, command: str) -> None:
    """Not once for each split and arm."""
    data = "data={name: folder, root: ./no, classes: [a, b], images: '{split}/i/*.png', masks: '{split}/m/*.png'}"
    found = call(*command.split(), "small.yaml", "--set", data)
    assert (found.code, (found.out + found.error).count("there is no dataset folder")) == (2, 1)


def test_an_interrupt_ends_without_a_traceback(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("segsuite.experiment.load", interrupted)
    found = call("plan", "small.yaml")
    assert (found.code, found.error) == (75, "")


def test_a_defect_of_the_suite_keeps_its_traceback(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("segsuite.experiment.load", defect)
    with pytest.raises(ZeroDivisionError):
        call("plan", "small.yaml")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["plan", "small.yaml", "--json"], ["status", "small.yaml"], ["schema"]]
)
def test_no_command_but_run_imports_torch(call: Call, arguments: list[str]) -> None:
    code = (
        "import sys; from segsuite.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'pytorch_lightning', 'albumentations', 'cv2', 'wandb'} & set(sys.modules)\n"
        "images = {'numpy', 'PIL'} & set(sys.modules) if sys.argv[1] != 'plan' else set()  # it looks at the data\n"
        "print(sorted(heavy | images), file=sys.stderr)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stderr.strip() == "[]"


def test_a_closed_pipe_is_told_by_the_exit_code_alone(call: Call) -> None:
    command = f'("{sys.executable}" -m segsuite schema; echo $? >&2) | head -n 1'
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"}
    found = subprocess.run(["/bin/sh", "-c", command], env=environment, capture_output=True, text=True, check=True)
    assert (found.stdout, found.stderr) == ("{\n", "141\n")
