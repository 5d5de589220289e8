"""The GraphQL operations of the emulated W&B server, found by running wandb 0.31 and wandb-workspaces 0.4.13."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any

CREATED = "2026-01-01T00:00:00Z"
NO_MORE = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
OPERATIONS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {}

Variables = dict[str, Any]
Answer = dict[str, Any]


def operation(*names: str) -> Callable[[Any], Any]:
    """Registers a function under the operation's name, and other names."""

    def register(function: Any) -> Any:
        OPERATIONS.update(dict.fromkeys(names, function))
        return function

    return register


def encoded(text: str) -> str:
    """An id as W&B writes them."""
    return base64.b64encode(text.encode()).decode()


def top_level_fields(query: str) -> list[str]:
    """Names (or aliases) of the outermost fields of a query.

    >>> top_level_fields("query Q($a: ID!) { first: one(id: $a) { id } two }")
    ['first', 'two']
    """
    body, before = query[query.find("{") + 1 : query.rfind("}")], None
    while body != before:  # what is nested, from the inside out
        body, before = re.sub(r"\{[^{}]*\}|\([^()]*\)", " ", body), body
    return re.findall(r"(\w+)(?:\s*:\s*\w+)?", body)


def user() -> Answer:
    """The one user."""
    entity = {"id": encoded("Entity:1"), "name": "lab", "organization": None}
    return {
        "__typename": "User", "id": encoded("User:1"), "entity": "lab", "username": "lab", "name": "lab",
        "email": "lab@example.org", "admin": False, "flags": "{}", "deletedAt": None, "apiKeys": {"edges": []},
        "teams": {"edges": [{"node": entity}]}, "defaultEntity": entity,
    }  # fmt: skip


@operation("Viewer", "GetViewer", "GetDefaultEntity", "viewer")
def _viewer(server: Any, variables: Variables) -> Answer:
    return {"viewer": user()}


@operation("ServerFeaturesQuery", "ServerFeatures")
def _features(server: Any, variables: Variables) -> Answer:
    return {"serverInfo": {"features": []}}


@operation("ServerInfo", "QueryServerInfo")
def _server_info(server: Any, variables: Variables) -> Answer:
    versions = {"max_cli_version": "99.0.0", "min_cli_version": "0.1.0"}
    return {
        "viewer": user(),
        "serverInfo": {"cliVersionInfo": versions, "latestLocalVersionInfo": None, "features": []},
    }


def run_of(server: Any, variables: Variables) -> Any:
    """The run that a request is about, or None."""
    name = variables.get("name") or variables.get("run") or variables.get("runName")
    return server.runs.get(name) or next((run for run in server.runs.values() if run.id == variables.get("id")), None)


def bucket(run: Any) -> Answer:
    """A run as the logging side sees it."""
    return {
        "id": run.id, "name": run.name, "displayName": run.display_name or run.name, "description": None,
        "config": json.dumps(run.config), "sweepName": None, "historyLineCount": len(run.history),
        "eventsLineCount": len(run.stream.get("wandb-events.jsonl", {})), "logLineCount": 0, "history": "[]",
        "historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]), "eventsTail": "[]",
        "summaryMetrics": json.dumps(run.summary), "tags": run.tags, "wandbConfig": json.dumps({"t": 1}),
        "project": {"id": encoded(f"Project:{run.project}"), "name": run.project,
                    "entity": {"id": encoded("Entity:1"), "name": "lab"}},
    }  # fmt: skip


@operation("UpsertBucket")
def _upsert_run(server: Any, variables: Variables) -> Answer:
    run = run_of(server, variables)
    new = run is None
    if new:
        run = server.new_run(variables.get("project") or "uncategorized", variables["name"])
    if variables.get("config"):
        run.config = json.loads(variables["config"])
    names = {"display_name": "displayName", "group": "groupName", "job_type": "jobType", "tags": "tags"}
    for attribute, key in names.items():
        if variables.get(key) is not None:
            setattr(run, attribute, variables[key])
    if variables.get("summaryMetrics"):
        run.stream.setdefault("wandb-summary.json", {})[0] = variables["summaryMetrics"]
    run.complete = False
    return {"upsertBucket": {"bucket": bucket(run), "inserted": new}}


@operation("RunResumeStatus")
def _resume_status(server: Any, variables: Variables) -> Answer:
    run = server.runs.get(variables.get("name"))
    entity = {"id": encoded("Entity:1"), "name": "lab"}
    project = {"id": encoded("Project:1"), "name": variables.get("project"), "entity": entity}
    return {"model": {**project, "bucket": bucket(run) if run else None}}


@operation("RunStoppedStatus")
def _stopped(server: Any, variables: Variables) -> Answer:
    return {"project": {"run": {"stopped": False}}}


@operation("CreateRunFiles")
def _run_files(server: Any, variables: Variables) -> Answer:
    name = variables["run"]
    files = [{"name": file, "uploadUrl": f"{server.url}/upload/run/{name}/{file}"} for file in variables["files"]]
    return {"createRunFiles": {"runID": server.runs[name].id, "uploadHeaders": [], "files": files}}


@operation("ArtifactType")
def _artifact_type(server: Any, variables: Variables) -> Answer:
    return {"project": None}


@operation("CreateArtifact")
def _create_artifact(server: Any, variables: Variables) -> Answer:
    given = variables.get("input", variables)
    identifier = encoded(f"Artifact:{len(server.artifacts)}")
    server.artifacts[identifier] = {
        "id": identifier, "name": given.get("artifactCollectionName"), "type": given.get("artifactTypeName"),
        "digest": given.get("digest"), "state": "PENDING", "run": given.get("runName"),
        "aliases": [alias.get("alias") for alias in given.get("aliases") or []],
        "logged_by": [given.get("runName")], "used_by": [],
    }  # fmt: skip
    artifact = {"id": identifier, "state": "PENDING"}
    return {"createArtifact": {"artifact": {**artifact, "artifactSequence": {"id": "seq", "latestArtifact": None}}}}


@operation("CreateArtifactManifest")
def _create_manifest(server: Any, variables: Variables) -> Answer:
    given = variables.get("input", variables)
    artifact = given.get("artifactID")
    file = {"id": encoded(f"Manifest:{artifact}"), "name": given.get("name"), "displayName": given.get("name")}
    file |= {"uploadUrl": f"{server.url}/upload/manifest/{artifact}", "uploadHeaders": []}
    return {"createArtifactManifest": {"artifactManifest": {"id": file["id"], "file": file}}}


@operation("CreateArtifactFiles")
def _artifact_files(server: Any, variables: Variables) -> Answer:
    nodes = []
    for file in variables.get("input", variables).get("artifactFiles", []):
        name, artifact = file["name"], file.get("artifactID")
        nodes.append({
            "id": encoded(name), "name": name, "displayName": name, "uploadHeaders": [], "storagePath": name,
            "uploadUrl": f"{server.url}/upload/artifact/{artifact}/{name}", "uploadMultipartUrls": None,
            "artifact": {"id": artifact},
        })  # fmt: skip
    return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}


@operation("CommitArtifact")
def _commit_artifact(server: Any, variables: Variables) -> Answer:
    artifact = server.artifacts[variables.get("input", variables)["artifactID"]]
    artifact["state"] = "COMMITTED"
    return {"commitArtifact": {"artifact": {"id": artifact["id"], "digest": artifact["digest"]}}}


@operation("UseArtifact")
def _use_artifact(server: Any, variables: Variables) -> Answer:
    given = variables.get("input", variables)
    server.artifacts[given["artifactID"]]["used_by"].append(given["runName"])
    return {"useArtifact": {"artifact": {"id": given["artifactID"]}}}
