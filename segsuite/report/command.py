"""`segsuite report`: what the command does."""

import contextlib
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from segsuite.errors import plural
from segsuite.experiment import Experiment
from segsuite.report.build import build_report, folder_of, own_files, write_report
from segsuite.report.figure_files import file_names, write_figures
from segsuite.report.serve import Follower, leading_to, serve


@dataclass(frozen=True)
class Wishes:
    """The options of the command."""

    out: Path | None = None
    with_images: bool = True
    with_figures: bool = False
    open_browser: bool = False
    serve: bool = False
    port: int = 0


def report(experiment: Experiment, wishes: Wishes, say: Callable[[str], object] = print) -> None:
    """Writes the report, or serves it until Ctrl-C."""
    folder = folder_of(experiment, wishes.out)
    usual = experiment.folder / "report"
    if wishes.out is None and folder != usual:
        say(f"note: {usual} holds the report of other settings and stays")
    if wishes.serve:
        with contextlib.ExitStack() as while_serving:

            def ready(address: str) -> None:
                say(f"{address} follows {experiment.folder}; Ctrl-C ends")
                if wishes.open_browser:
                    webbrowser.open(while_serving.enter_context(leading_to(address, folder)).as_uri())

            serve(Follower(experiment, folder, wishes.with_images), wishes.port, ready)
        return
    made = build_report(experiment, wishes.with_images)
    page = write_report(made, folder)
    say(made.material.answers.sentence)
    for trial in made.material.gathered.trials:
        if trial.state in ("damaged", "unreadable") or trial.damaged:
            say(f"note: {trial.arm}, seed {trial.seed}: {'; '.join(filter(None, (trial.reason, *trial.damaged)))}")
    say(f"written to {page}")
    if wishes.with_figures:
        figures = [figure for section in made.sections for figure in section.figures]
        own_files(folder, [f"figures/{name}" for name in file_names(figures)])
        written = write_figures(figures, folder / "figures")
        say(f"{plural(len(written), 'figure')} in {folder / 'figures'}")
    if wishes.open_browser:
        webbrowser.open(page.resolve().as_uri())
