"""The W&B workspace and report of an experiment, saved on the emulated server."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from segsuite.errors import SegsuiteError
from segsuite.experiment import Experiment, load
from segsuite.report.dashboard import RECORD, axis_keys, dashboard
from tests.wandb.backend import Backend
from tests.wandb.scenarios import python
from tests.wandb.test_sync import YAML, segsuite

pytest.importorskip("wandb_workspaces", reason="the extra `dashboard` is not installed")

FIGURES = """[("intervals", {"data": [{"type": "bar", "x": ["a"], "y": [1]}], "layout": {"title": {"text": "t"}}})]"""


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """Two axes, three seeds."""
    path = tmp_path / "tiny.yaml"
    text = YAML.format(root=tmp_path / "runs").replace("seeds: [3]", "seeds: [0, 1, 2]")
    path.write_text(text.replace("compare: {", "compare: {train.optimizer.learning_rate: [1e-3, 2e-3], "))
    return load(path)


def made(experiment: Experiment, server: Backend, answer: str = "", figures: str = "[]") -> dict[str, str]:
    """Calls `dashboard` in a process of its own; what it gives."""
    code = f"""
    import json
    from segsuite.experiment import load
    from segsuite.report.dashboard import dashboard
    print(json.dumps(dashboard(load(Path({str(experiment.path)!r})), {answer!r}, {figures})))
    """
    done = python(code, experiment.path.parent, **server.environment())
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def spec(server: Backend, kind: str) -> Any:
    """The specification of the only view of a kind: `runs` is a report, `project-view` a workspace."""
    (view,) = (view for view in server.views.values() if view["type"] == kind)
    return json.loads(view["spec"])


def found(value: Any, key: str) -> list[Any]:
    """All values of `key` in nested lists and dicts."""
    if isinstance(value, dict):
        return [*([value[key]] if key in value else []), *(one for item in value.values() for one in found(item, key))]
    return [one for item in value for one in found(item, key)] if isinstance(value, list) else []


@pytest.mark.slow
def test_a_second_call_updates_the_same_report_and_workspace(server: Backend, experiment: Experiment) -> None:
    first = made(experiment, server, "first answer")
    second = made(experiment, server, "second answer")
    assert second == first
    assert sorted(view["type"] for view in server.views.values()) == ["project-view", "runs"]
    assert "second answer" in json.dumps(spec(server, "runs"))
    assert "first answer" not in json.dumps(spec(server, "runs"))


def test_the_addresses_are_kept_in_the_experiment_s_directory(server: Backend, experiment: Experiment) -> None:
    given = made(experiment, server)
    assert json.loads((experiment.folder / RECORD).read_text()) == given


@pytest.mark.slow
def test_a_report_that_somebody_deleted_is_made_anew(server: Backend, experiment: Experiment) -> None:
    made(experiment, server)
    server.views.clear()
    made(experiment, server)
    assert sorted(view["type"] for view in server.views.values()) == ["project-view", "runs"]


def test_every_axis_has_bars_with_deviations_and_curves_with_bands(server: Backend, experiment: Experiment) -> None:
    made(experiment, server)
    panels = [panel for group in found(spec(server, "runs"), "panels") if isinstance(group, list) for panel in group]
    for key in ("upsampler", "learning_rate"):
        for kind, metric in (("Bar Chart", "final/miou"), ("Run History Line Plot", "val/miou")):
            (panel,) = (
                panel["config"]
                for panel in panels
                if panel["viewType"] == kind
                and panel["config"].get("groupBy") == f"{key}.value"
                and metric in json.dumps(panel["config"]["metrics"])
            )
            assert (panel["groupAgg"], panel["groupArea"]) == ("mean", "stddev")


def test_the_report_has_importance_images_and_the_table_of_runs(server: Backend, experiment: Experiment) -> None:
    made(experiment, server)
    kinds = set(found(spec(server, "runs"), "viewType"))
    assert {"Parameter Importance", "Media Browser", "Run Comparer", "Weave"} <= kinds
    assert "samples/prediction" in json.dumps(spec(server, "runs"))


def test_only_runs_of_the_experiment_are_shown(server: Backend, experiment: Experiment) -> None:
    made(experiment, server)
    sets = [one for group in found(spec(server, "runs"), "runSets") for one in group]
    assert sets
    assert all(
        [(one["key"]["name"], one["value"]) for one in found(each["filters"], "filters")[-1]]
        == [("experiment", "tiny")]
        for each in sets
    )


@pytest.mark.slow
def test_our_figures_are_logged_once_into_one_run(server: Backend, experiment: Experiment) -> None:
    (experiment.folder / "report").mkdir(parents=True)
    (experiment.folder / "report" / "report.html").write_text("<p>the report")
    made(experiment, server, figures=FIGURES)
    made(experiment, server, figures=FIGURES)
    (run,) = server.runs.values()
    assert (run.name, run.job_type, run.state, len(run.history)) == ("report-tiny", "report", "finished", 1)
    assert run.summary["report/intervals"]["_type"] == "plotly-file"
    assert [(one["name"], one["state"]) for one in server.artifacts.values()] == [("report-tiny", "COMMITTED")]
    assert "report/intervals" in json.dumps(spec(server, "runs"))


@pytest.mark.slow
def test_changed_figures_are_logged_again(server: Backend, experiment: Experiment) -> None:
    made(experiment, server, figures=FIGURES)
    made(experiment, server, figures=FIGURES.replace("[1]", "[2]"))
    assert len(server.runs["report-tiny"].history) == 2


def test_the_command_prints_both_addresses(server: Backend, experiment: Experiment) -> None:
    done = segsuite("dashboard", experiment, **server.environment())
    assert done.returncode == 0, done.stderr
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == ["report", "workspace"]


def test_without_the_extra_one_sentence_says_how_to_install_it(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(SegsuiteError) as caught:
        dashboard(experiment)
    assert caught.value.advice == "pip install 'segsuite[dashboard]'"


def test_the_axes_are_those_of_the_experiment(experiment: Experiment) -> None:
    assert axis_keys(experiment) == ["learning_rate", "upsampler"]
