"""GraphQL operations of the emulated W&B server for wandb.Api and wandb-workspaces; importing it registers them."""

import json
from typing import Any

from tests.wandb.operations import CREATED, NO_MORE, Answer, Variables, encoded, operation, run_of


def run_node(server: Any, run: Any) -> Answer:
    """A run as wandb.Api sees it."""
    files = [
        {
            "id": name, "name": name, "url": f"{server.url}/upload/run/{run.name}/{name}",
            "directUrl": f"{server.url}/upload/run/{run.name}/{name}", "sizeBytes": len(content),
            "size": len(content), "mimetype": "", "updatedAt": CREATED, "md5": "",
        }
        for name, content in run.files.items()
    ]  # fmt: skip
    steps = [row.get("_step", 0) for row in run.history]
    return {
        "id": run.id, "tags": run.tags, "name": run.name, "displayName": run.display_name or run.name,
        "sweepName": None, "state": run.state, "config": json.dumps(run.config), "group": run.group,
        "jobType": run.job_type, "commit": None, "readOnly": False, "createdAt": CREATED, "heartbeatAt": CREATED,
        "description": None, "notes": None, "systemMetrics": "{}", "summaryMetrics": json.dumps(run.summary),
        "historyLineCount": len(run.history), "user": {"name": "lab", "username": "lab"}, "projectId": "1",
        "historyKeys": {"keys": {}, "lastStep": max(steps, default=-1)}, "fileCount": len(files),
        "files": {"edges": [{"node": file, "cursor": file["name"]} for file in files], "pageInfo": NO_MORE},
    }  # fmt: skip


@operation("Runs", "GetRuns", "LightweightRuns")
def _runs(server: Any, variables: Variables) -> Answer:
    runs = [run for run in server.runs.values() if run.project == variables["project"]]
    edges = [{"node": run_node(server, run), "cursor": run.name} for run in runs]
    listed = {"edges": edges, "pageInfo": NO_MORE, "totalCount": len(runs)}
    return {"project": {"internalId": "1", "runCount": len(runs), "readOnly": False, "runs": listed}}


@operation("Run", "GetRun", "LightweightRun", "RunFiles", "GetRunFiles")
def _run(server: Any, variables: Variables) -> Answer:
    run = run_of(server, variables)
    return {"project": {"internalId": "1", "run": run_node(server, run) if run else None}}


def _between(server: Any, variables: Variables) -> list[Answer]:
    low, high = variables.get("minStep") or 0, variables.get("maxStep") or 1 << 60
    return [row for row in run_of(server, variables).history if low <= row.get("_step", 0) < high]


@operation("HistoryPage", "RunHistoryPage", "RunFullHistory")
def _history(server: Any, variables: Variables) -> Answer:
    return {"project": {"run": {"history": [json.dumps(row) for row in _between(server, variables)]}}}


@operation("SampledHistoryPage")
def _sampled_history(server: Any, variables: Variables) -> Answer:
    keys = json.loads(variables["spec"]).get("keys")
    rows = run_of(server, variables).history
    kept = [{key: row[key] for key in keys} for row in rows if set(keys) <= set(row)] if keys else rows
    return {"project": {"run": {"sampledHistory": [kept]}}}


@operation("RunParquetHistory")
def _parquet_history(server: Any, variables: Variables) -> Answer:
    live = run_of(server, variables).history
    return {"project": {"run": {"parquetHistory": {"parquetUrls": [], "liveData": live}}}}


@operation("RunHistoryKeys")
def _history_keys(server: Any, variables: Variables) -> Answer:
    rows = run_of(server, variables).history
    kind = {"typeCounts": [{"type": "number", "count": 1}], "monotonic": False, "previousValue": 0}
    keys = {key: kind for row in rows for key in row}
    return {"project": {"run": {"historyKeys": {"sets": [], "keys": keys, "lastStep": len(rows) - 1}}}}


def project_node(name: str) -> Answer:
    """A project."""
    return {
        "__typename": "Project", "id": encoded(f"Project:{name}"), "name": name, "entityName": "lab",
        "createdAt": CREATED, "isBenchmark": False, "user": None,
    }  # fmt: skip


@operation("ProjectInternalId")
def _project_id(server: Any, variables: Variables) -> Answer:
    name = variables["projectName"]
    return {"project": {"id": encoded(f"Project:{name}"), "internalId": encoded("ProjectInternalId:1")}}


@operation("GetProjects", "Projects")
def _projects(server: Any, variables: Variables) -> Answer:
    viewed = {view["projectName"] for view in server.views.values()}
    names = sorted({run.project for run in server.runs.values()} | viewed | server.projects)
    return {"models": {"pageInfo": NO_MORE, "edges": [{"node": project_node(name)} for name in names]}}


@operation("UpsertModel", "CreateProject", "UpsertProject")
def _upsert_project(server: Any, variables: Variables) -> Answer:
    name = variables.get("name") or (variables.get("input") or {}).get("name")
    server.projects.add(name)
    return {"upsertModel": {"project": project_node(name), "model": project_node(name), "inserted": True}}


def view_node(view: Answer) -> Answer:
    """A report or a workspace."""
    return {
        "id": view["id"], "type": view.get("type"), "name": view["name"], "displayName": view.get("displayName"),
        "description": view.get("description"), "spec": view.get("spec"), "updatedAt": CREATED, "createdAt": CREATED,
        "previewUrl": None, "coverUrl": None, "locked": False,
        "project": {"id": "p", "name": view.get("projectName"), "entityName": view.get("entityName") or "lab"},
        "user": {"name": "lab", "username": "lab", "userInfo": {}},
    }  # fmt: skip


@operation("upsertView", "UpsertView", "UpsertView2")
def _upsert_view(server: Any, variables: Variables) -> Answer:
    identifier = variables.get("id") or encoded(f"View:{len(server.views)}")
    view = server.views.setdefault(identifier, {"name": f"v{len(server.views)}"})
    view |= {key: value for key, value in variables.items() if value is not None} | {"id": identifier}
    return {"upsertView": {"view": view_node(view), "inserted": True}}


@operation("SpecificReport")
def _report(server: Any, variables: Variables) -> Answer:
    view = server.views.get(variables["reportId"])
    return {"view": view_node(view) if view else None}


@operation("View")
def _view(server: Any, variables: Variables) -> Answer:
    views = [view for view in server.views.values() if view.get("name") == variables.get("viewName")]
    return {"project": {"allViews": {"edges": [{"node": view_node(view)} for view in views]}}}


def artifact_node(artifact: Answer, project: str) -> Answer:
    """An artifact as wandb.Api sees it."""
    place = {"name": project, "entity": {"name": "lab"}, "id": encoded("p"), "internalId": encoded("i")}
    sequence = {"__typename": "ArtifactSequence", "name": artifact["name"], "project": place}
    return {
        "__typename": "Artifact", "id": artifact["id"], "artifactSequence": sequence, "versionIndex": 0,
        "artifactType": {"name": artifact["type"]}, "description": None, "metadata": None,
        "ttlDurationSeconds": -1, "ttlIsInherited": True, "tags": [], "historyStep": None,
        "state": artifact["state"], "size": 1, "digest": artifact["digest"], "commitHash": None,
        "fileCount": 1, "createdAt": CREATED, "updatedAt": None, "aliases": [],
    }  # fmt: skip


def _artifacts(server: Any, variables: Variables, key: str) -> Answer:
    # wandb 0.31 stumbles over one that is not committed, so a server lists none.
    found = [one for one in server.artifacts.values() if variables["run"] in one[key] and one["state"] == "COMMITTED"]
    edges = [{"node": artifact_node(artifact, variables["project"])} for artifact in found]
    listed = {"totalCount": len(edges), "pageInfo": NO_MORE, "edges": edges}
    return {"project": {"run": {"artifacts": listed}}}


@operation("RunOutputArtifacts")
def _output_artifacts(server: Any, variables: Variables) -> Answer:
    return _artifacts(server, variables, "logged_by")


@operation("RunInputArtifacts")
def _input_artifacts(server: Any, variables: Variables) -> Answer:
    return _artifacts(server, variables, "used_by")
