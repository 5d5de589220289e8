"""What `segsuite status` shows: once, or again and again."""

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from segsuite.errors import plural
from segsuite.io.numbers import percent
from segsuite.report.columns import in_columns, terminal_width

if TYPE_CHECKING:
    from segsuite.launch.status import Status

LOOK_SECONDS = 5.0
SHARE = 5  # of the time at most one part in so many goes into looking: a file server has other work, too
URGENT = ("running", "failed", "damaged", "unreadable", "held", "unfinished", "queued", "new", "finished")
"""What a small window shows first."""
ROWS_AROUND = 12  # lines of a window that are no rows of trials


def watch(status: "Status", as_lines_of_json: bool) -> dict[str, Any]:
    """Looks until all trials have ended, or until Ctrl-C; what was found last. On a terminal the text is redrawn in
    place, into a pipe only what has changed is printed again."""
    from rich.console import Console

    from segsuite.launch.status import OPEN_STATES

    console = Console(highlight=False, soft_wrap=True)
    found: dict[str, Any] = {"counts": {}}
    with contextlib.suppress(KeyboardInterrupt), _shown(console, as_lines_of_json) as show:
        while True:
            began = time.monotonic()
            found = status.look()
            show(found)
            if not any(found["counts"][state] for state in OPEN_STATES):
                break
            time.sleep(max(LOOK_SECONDS, (SHARE - 1) * (time.monotonic() - began)))
    return found


@contextlib.contextmanager
def _shown(console: Any, as_lines_of_json: bool) -> Iterator[Any]:
    if as_lines_of_json:
        yield lambda found: print(json.dumps(found), flush=True)
    elif console.is_terminal:
        from rich.live import Live
        from rich.text import Text

        def text(found: dict[str, Any]) -> Text:
            shown = lines(found, max(3, console.height - ROWS_AROUND))
            return Text("\n".join(shown), no_wrap=True, overflow="ellipsis")

        with Live(console=console, auto_refresh=False) as live:
            yield lambda found: live.update(text(found), refresh=True)
    else:
        before: set[str] = set()

        def print_new(found: dict[str, Any]) -> None:
            nonlocal before
            now = lines(found)
            if changed := [line for line in now if line not in before]:
                print("\n".join(changed), flush=True)
            before = set(now)

        yield print_new


def as_json(found: dict[str, Any]) -> str:
    """A trial a line: readable, and quick to write for thousands."""
    head = json.dumps({key: value for key, value in found.items() if key != "trials"}, indent=1)
    trials = ",\n  ".join(json.dumps(trial) for trial in found["trials"])
    return f'{head[:-2]},\n "trials": [\n  {trials}\n ]\n}}'


def lines(found: dict[str, Any], most_rows: int | None = None) -> list[str]:
    """A row a trial, at most `most_rows` of the most urgent; then failures, the cluster, and how many are in which
    state."""
    from segsuite.launch.status import BAD_STATES

    trials = found["trials"]
    chosen = list(range(len(trials)))
    if most_rows is not None and len(trials) > most_rows:
        urgent = sorted(chosen, key=lambda at: URGENT.index(trials[at]["state"]))
        chosen = sorted(urgent[:most_rows])
    on_cluster = found["cluster"] is not None
    names = ["id", "arm", "seed", "state", "epochs", "mIoU", "left", *(["on the cluster"] if on_cluster else [])]
    text = in_columns(names, [_row(trials[at], on_cluster) for at in chosen], terminal_width(), ("id", "epochs"))
    if len(chosen) < len(trials):
        text.append(f"... and {len(trials) - len(chosen):,} more")
    for state in BAD_STATES:
        bad = [trial for trial in trials if trial["state"] == state]
        for trial in bad[: most_rows and 3]:
            text.append(f"{state}: {trial['arm']}, seed {trial['seed']}: {_first_line(trial['reason'])}")
            text.append(f"  log: {trial['log']}" if state == "failed" else f"  to do: {trial['to_do']}")
    text += _of_others(trials)
    text += _warnings(trials)
    if on_cluster:
        text += _cluster(found["cluster"])
    for note in found["notes"]:
        text += [f"note: {note['what']}", f"  where: {note['where']}", f"  to do: {note['to_do']}"]
    counts = ", ".join(f"{count} {state}" for state, count in found["counts"].items() if count)
    return [*text, f"{counts}, in {found['folder']}"]


def _of_others(trials: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each other person whose trials have begun and have no result."""
    from segsuite.io import users

    of: dict[str, list[str]] = {}
    for trial in trials:
        whose = (trial["claim"] or {}).get("user") or trial["owner"]
        if whose not in (None, users.name()):
            of.setdefault(whose, []).append(f"{trial['arm']}, seed {trial['seed']}")
    return [
        f"{whose}'s: {'; '.join(theirs[:3])}" + (f" and {len(theirs) - 3} more" if len(theirs) > 3 else "")
        for whose, theirs in of.items()
    ]


def _warnings(trials: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each kind of warning, with the first trial that has it and how many more do."""
    of_kind: dict[str, list[tuple[dict[str, Any], str]]] = {}
    for trial in trials:
        kinds = {text.partition(" (")[0]: text for text in trial["warnings"]}  # details in brackets differ by trial
        for kind, text in kinds.items():
            of_kind.setdefault(kind, []).append((trial, text))
    return [
        f"warning: {trial['arm']}, seed {trial['seed']}{f' and {len(others)} more' if others else ''}: {text}"
        for (trial, text), *others in of_kind.values()
    ]


def _first_line(reason: Any) -> str:
    return (str(reason).strip().splitlines() or [""])[0]


def _row(trial: dict[str, Any], on_cluster: bool) -> Sequence[str]:
    from segsuite.launch.display import duration

    score = "-" if trial["miou"] is None else f"{trial['miou']:.3f}"
    left = "" if trial["seconds_left"] is None else duration(trial["seconds_left"])
    epochs = f"{trial['epochs_done']} of {trial['epochs']}"
    state = trial["state"] + (" (smaller batch)" if trial["smaller_batch"] else "")
    row = (trial["id"], trial["arm"], str(trial["seed"]), state, epochs, score, left)
    if not on_cluster:
        return row
    where = trial["waits_for"] or trial["cancelled"] or ""
    if trial["node"] is not None:
        where = f"{trial['node']}, {duration(trial['elapsed_seconds'])}"
    if trial["attempts"] and trial["attempts"] > 1:
        where += f"{', ' if where else ''}{plural(trial['attempts'], 'attempt')}"
    return *row, where


def _cluster(cluster: dict[str, Any]) -> list[str]:
    """What is held and why, the queue and its age, the cost."""
    from segsuite.launch.display import duration

    queue, held, text = cluster["queue"], cluster["held"], []
    if held is not None:
        text.append(f"held: {held.get('reason')}; mend it, then call `segsuite retry`")
    if queue["age_seconds"] is not None:
        reasons = ", ".join(f"{count} {reason}" for reason, count in queue["reasons"].items())
        tasks = ", ".join(f"{queue[state]} {state}" for state in ("running", "queued", "held") if queue[state])
        text.append(
            f"queue as of {duration(queue['age_seconds'])} ago: {tasks or 'empty'}"
            + (f" ({reasons})" if reasons else "")
            + (f"; no newer answer: {queue['problem']}" if queue["problem"] else "")
        )
    elif queue["problem"] is not None:
        text.append(f"the queue is not known: {queue['problem']}; shown is what the run directories say")
    else:
        text.append("squeue is being asked by another terminal")
    return text + _cost(cluster["accounting"])


def _cost(cost: dict[str, Any]) -> list[str]:
    from segsuite.launch.display import duration

    if not cost["attempts"]:
        return []
    age = f", as of {duration(cost['age_seconds'])} ago" if cost["age_seconds"] else ""
    causes = ", ".join(f"{count} {cause}" for cause, count in cost["lost_by"].items())
    lost = "none lost"
    if cost["lost_attempts"]:
        lost = (
            f"at most {_of(cost['lost_attempts_fraction'])} of the attempts and "
            f"{_of(cost['lost_seconds_fraction'])} of the time lost ({causes})"
        )
    parts = [f"{plural(cost['attempts'], 'attempt')}, {duration(cost['seconds'])}, {lost}"]
    if cost["gpu_hours"]:
        of_gpus = f", at most {_of(cost['lost_gpu_hours_fraction'])} of them lost" if cost["lost_gpu_hours"] else ""
        parts.append(f"{cost['gpu_hours']:.1f} GPU-hours{of_gpus}")
    if cost["largest_memory_bytes"]:
        parts.append(f"largest memory {cost['largest_memory_bytes'] / 2**30:.2f} GiB")
    if without := cost["without_end"]:
        parts.append(
            f"{plural(without, 'attempt')} {'has' if without == 1 else 'have'} no end, the time is not counted"
        )
    return [f"cost ({cost['source']}{age}): {'; '.join(parts)}"]


def _of(fraction: float | None) -> str:
    return percent(fraction or 0.0)
