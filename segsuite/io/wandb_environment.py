"""What is settled before wandb starts: mode, folders, project, whether there is an API key and the server answers.

Imports wandb only within functions: a launcher must not bring it in.
"""

import contextlib
import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segsuite.io import users

PROJECT = "segsuite"
FLUSH_SECONDS = 2.0  # wandb's own 15 s are what a SIGKILL would lose, for a short trial everything
REACH_SECONDS = 5.0
INIT_SECONDS = 20.0
FINISH_SECONDS = 60.0
MODES = {"dryrun": "offline", "run": "online", "shared": "online"}  # older words of wandb


def requested_mode(setting: str) -> str:
    """auto, online, offline or disabled: WANDB_MODE if it is set, else the setting."""
    mode = os.environ.get("WANDB_MODE", "").lower() or setting
    mode = MODES.get(mode, mode)
    return mode if mode in ("auto", "online", "offline", "disabled") else setting


def prepare(experiment_folder: Path) -> None:
    """Sets the environment that wandb reads; what a person has set stays, but for two.

    WANDB_SERVICE is the connection of another process: logging over it ends with that process, or never starts. An
    offline log names staged files (tables, artifacts) by their absolute paths, so they are staged beside the trials
    and not in a home folder of one node, where `wandb sync` would lose them without a word.
    """
    os.environ.pop("WANDB_SERVICE", None)
    os.environ.pop("WANDB_MODE", None)  # settled by `requested_mode`; wandb knows no empty one and no `auto`
    staging = experiment_folder.resolve() / ".wandb"
    os.environ.setdefault("WANDB_DATA_DIR", str(staging / "data"))
    os.environ.setdefault("WANDB_ARTIFACT_DIR", str(staging / "artifacts"))
    os.environ.setdefault("WANDB_CACHE_DIR", str(staging / "cache"))
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    for name in ("WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR", "WANDB_CACHE_DIR"):
        with contextlib.suppress(OSError):
            Path(os.environ[name]).mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):  # wandb itself would let nobody else of a group write there
        (Path(os.environ["WANDB_CACHE_DIR"]) / "wandb" / "logs").mkdir(parents=True, exist_ok=True)


def share(run_directory: Path) -> None:
    """Lets the group read what wandb has written of a trial, where the experiment's folder is a group's: staged files
    are for their maker alone, and moved ones are of the group of TMPDIR."""
    experiment_folder = run_directory.parent
    if users.is_shared(experiment_folder):
        users.follow_umask(run_directory / "wandb")
        users.follow_umask(experiment_folder / ".wandb")


def place(project: str | None, entity: str | None) -> tuple[str, str | None]:
    """Project and entity: of the settings, else of the environment; no entity stands for the API key's own."""
    chosen = project or os.environ.get("WANDB_PROJECT") or PROJECT
    return chosen, entity or os.environ.get("WANDB_ENTITY") or None


@contextlib.contextmanager
def online(experiment_folder: Path) -> Iterator[None]:
    """An environment for talking to the server, with the staged files of the trials; as it was afterwards.

    Afterwards, since wandb leaves WANDB_SERVICE behind, and a child process would inherit it.
    """
    before = dict(os.environ)
    prepare(experiment_folder)
    os.environ.setdefault("WANDB_SILENT", "true")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def without_service(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` for a child process: wandb's connection of this one would tie both together."""
    return {name: value for name, value in environment.items() if name != "WANDB_SERVICE"}


def base_url() -> str:
    """The server that wandb would talk to."""
    from wandb.sdk import wandb_setup

    return str(wandb_setup.singleton().settings.base_url)


def has_key() -> bool:
    """Whether wandb finds credentials (environment, netrc, its settings files); asks no server and no person."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    from wandb.sdk.lib import wbauth

    return bool(wbauth.authenticate_session(host=base_url(), source="segsuite", prompt=False, update_session=False))


def teardown() -> None:
    """Ends wandb's process and forgets its runs."""
    import wandb

    wandb.teardown()


def reachable(url: str, seconds: float = REACH_SECONDS) -> bool:
    """Whether anything answers at `url`. wandb itself would retry until its time limit, for every trial anew."""
    try:
        with urllib.request.urlopen(url, timeout=seconds):
            return True
    except urllib.error.HTTPError:
        return True
    except urllib.error.URLError as error:
        # A certificate that Python does not know may be known to wandb: it is asked.
        return type(error.reason).__name__.startswith("SSL")
    except OSError:
        return False


def settings(mode: str) -> Any:
    """A new wandb.Settings: `init` writes the run's id into the one it gets. Names that wandb has dropped are left
    out."""
    import wandb

    wanted = {
        "mode": mode,
        "console": "off",  # the trial has a log of its own
        "silent": True,
        "init_timeout": float(os.environ.get("WANDB_INIT_TIMEOUT", INIT_SECONDS)),
        "finish_timeout": finish_seconds(),
        "finish_timeout_raises": True,
        "x_transaction_log_flush_interval": FLUSH_SECONDS,
        # Where code came from stands in manifest.json; a git remote may hold a password.
        "save_code": False,
        "disable_code": True,
        "disable_git": True,
        "x_save_requirements": False,
    }
    return wandb.Settings(**{name: value for name, value in wanted.items() if name in wandb.Settings.model_fields})


def finish_seconds() -> float:
    """Longest wait for an upload at a trial's end; what is not sent by then stays on the disk for wandb-sync."""
    return float(os.environ.get("WANDB_FINISH_TIMEOUT", FINISH_SECONDS))


def run_id(experiment: str, trial: str) -> str:
    """The id of a trial's run. Two experiments that share a trial, such as a baseline, have a run each.

    >>> run_id("quickstart", "70c06c331c21")
    'quickstart-70c06c331c21'
    """
    return f"{shortened(experiment, 64 - 1 - len(trial))}-{trial}"  # W&B allows 64 characters


def group(experiment: str, arm: str) -> str:
    """The group of an arm's runs.

    >>> group("quickstart", "upsampler=nearest_conv")
    'quickstart: upsampler=nearest_conv'
    """
    return shortened(f"{experiment}: {arm}")


def shortened(name: str, length: int = 128) -> str:
    """`name` within W&B's limit of characters, its end replaced by a digest when it is longer."""
    if len(name) <= length:
        return name
    return f"{name[: length - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def first_line(error: BaseException) -> str:
    """The first line of an error's text, at most 200 characters."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
