"""Says what is being read: a bar on a terminal, a line each when piped; on standard error, so that JSON stays whole."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from segsuite.datasets.audit import Progress
from segsuite.datasets.overview import Tell
from segsuite.errors import plural


@contextmanager
def reading(title: str) -> Iterator[Tell]:
    """Within it, the given function starts a task; what it gives is told of (done, total)."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (TextColumn("reading {task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:

        def start(what: str) -> Progress:
            task = None if not console.is_terminal else bar.add_task(f"{title}, {what}", total=None)

            def told(done: int, total: int) -> None:
                if task is not None:
                    bar.update(task, completed=done, total=total)
                elif done == 1:
                    # Not what was kept from an earlier call, which takes no time.
                    console.print(f"reading {title}, {what} ({plural(total, 'image')})", markup=False)

            return told

        yield start
