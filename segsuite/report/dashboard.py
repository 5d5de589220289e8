"""An experiment's W&B workspace and report: what W&B draws itself, and figures of ours that it cannot draw.

Needs the extra `dashboard`. W&B has no confidence intervals, paired differences or class heatmaps: those are logged
as plotly figures into one run of job type `report`. How a real server draws the panels was not tested; the
specifications were written and read back with wandb-workspaces 0.4.13.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segsuite.config.tracking import axis_key
from segsuite.errors import SegsuiteError
from segsuite.experiment import Experiment
from segsuite.io import atomic, store, wandb_environment
from segsuite.report import wandb_panels as panels
from segsuite.report.build import REPORT, folder_of

RECORD = "wandb-dashboard.json"
INSTALL = "pip install 'segsuite[dashboard]'"
Figures = Sequence[tuple[str, Mapping[str, Any]]]


def dashboard(experiment: Experiment, answer: str = "", figures: Figures = ()) -> dict[str, str]:
    """Makes the workspace and the report, or updates those of an earlier call; their addresses.

    `answer` is Markdown, `figures` are names and plotly figures as dicts. Raises SegsuiteError when something is not
    installed or the server refuses.
    """
    try:
        import wandb_workspaces  # noqa: F401
    except ImportError as error:
        raise SegsuiteError("the dashboard needs the package wandb-workspaces", "", INSTALL) from error
    path = experiment.folder / RECORD
    record: dict[str, str] = store.read_json(path) or {}
    settings = experiment.trials[0].settings.wandb
    project, entity = wandb_environment.place(settings.project, settings.entity)
    with wandb_environment.online(experiment.folder):
        try:
            entity = entity or _default_entity()
            record |= _log_figures(experiment, project, entity, figures, record.get("figures", ""))
            atomic.write_json(path, record)
            record |= _save_report(experiment, project, entity, answer, [name for name, _ in figures], record)
            atomic.write_json(path, record)
            record |= _save_workspace(experiment, project, entity, record)
        except SegsuiteError:
            raise
        except Exception as error:
            text = wandb_environment.first_line(error)
            advice = "check the network and `wandb login`, then call it again: it continues"
            raise SegsuiteError(f"W&B refused: {text}", f"{entity}/{project}", advice) from error
        atomic.write_json(path, record)
    return record


def axis_keys(experiment: Experiment) -> list[str]:
    """The flat config keys of what the experiment compares; `arm` when that is nothing."""
    keys = dict.fromkeys(axis_key(path) for trial in experiment.trials for path in trial.differences)
    return list(keys) or ["arm"]


def _default_entity() -> str:
    import wandb

    return str(wandb.Api(timeout=30).default_entity)


def _save_report(
    experiment: Experiment, project: str, entity: str, answer: str, figures: list[str], record: Mapping[str, str]
) -> dict[str, str]:
    import wandb_workspaces.reports.v2 as wr

    # Saving a Report without an id makes another one of the same title, each time.
    report = _load(wr.Report, record.get("report_url")) or wr.Report(entity=entity, project=project)
    report.title = f"{experiment.name}: {experiment.question}"[:128].rstrip(": ")
    report.description = f"Made by `segsuite dashboard {experiment.path.name}`; calling it again updates this page."
    report.width = "fluid"
    report.blocks = panels.report_blocks(experiment, axis_keys(experiment), answer, figures)
    report.save()
    # Its own address holds the title as it is, and cannot be read back when that has a question mark.
    place, identifier = str(report.url).partition("/reports/")[0], str(report.id).rstrip("=")
    return {"report_url": f"{place}/reports/{experiment.name}--{identifier}"}


def _save_workspace(experiment: Experiment, project: str, entity: str, record: Mapping[str, str]) -> dict[str, str]:
    import wandb_workspaces.workspaces as ws

    workspace = _load(ws.Workspace, record.get("workspace_url"))
    if workspace is None:
        workspace = ws.Workspace(entity=entity, project=project, auto_generate_panels=False)
    workspace.name = experiment.name
    workspace.sections = panels.workspace_sections(axis_keys(experiment))
    workspace.runset_settings = panels.workspace_runs(experiment.name, axis_keys(experiment))
    workspace.save()
    return {"workspace_url": str(workspace.url)}


def _load(kind: Any, url: str | None) -> Any:
    """What an earlier call saved, or None when there is none or somebody has deleted it."""
    if not url:
        return None
    try:
        return kind.from_url(url)
    except TypeError:
        return None  # a report: wandb-workspaces has no error for it and stumbles over the server's null
    except ValueError as error:
        if "not found" in str(error):  # a workspace
            return None
        raise


def _log_figures(experiment: Experiment, project: str, entity: str, figures: Figures, logged: str) -> dict[str, str]:
    """Logs figures and the HTML report into the experiment's report run, unless the same ones are there."""
    html = folder_of(experiment) / REPORT
    digest = _digest(figures, html)
    if digest == logged:
        return {}
    import wandb

    named = [(name, _plotly(figure)) for name, figure in figures]
    run = wandb.init(
        project=project,
        entity=entity,
        id=f"report-{experiment.name}",
        resume="allow",
        name=f"report of {experiment.name}",
        job_type="report",
        tags=[experiment.name, "report"],
        dir=experiment.folder,
        config={panels.REPORT_OF: experiment.name},
        settings=wandb_environment.settings("online"),
    )
    try:
        run.log({panels.figure_key(name): wandb.Plotly(figure) for name, figure in named})
        if html.exists():
            artifact = wandb.Artifact(f"report-{experiment.name}", type="report")
            artifact.add_file(str(html.resolve()), name=html.name)
            run.log_artifact(artifact)
    finally:
        run.finish()
    return {"figures": digest}


def _plotly(figure: Mapping[str, Any]) -> Any:
    try:
        import plotly.graph_objects
    except ImportError as error:
        raise SegsuiteError("figures need the package plotly", "", INSTALL) from error
    return plotly.graph_objects.Figure(dict(figure))


def _digest(figures: Figures, html: Path) -> str:
    """Nothing when there is nothing to log."""
    content = html.read_bytes() if html.exists() else b""
    if not figures and not content:
        return ""
    told = json.dumps([[name, dict(figure)] for name, figure in figures], sort_keys=True, default=str).encode()
    return hashlib.sha256(told + b"\0" + content).hexdigest()[:16]
