"""The blocks and panels of a W&B report and workspace. wandb-workspaces is imported only when they are made."""

from collections.abc import Sequence
from typing import Any

from segsuite.config.tracking import CLASS_TABLE, PREDICTION_TABLE, PREDICTIONS
from segsuite.errors import plural
from segsuite.experiment import Experiment

STEP = "trainer/global_step"
SCORE = "final/miou"
REPORT_OF = "report_of"
WIDTH = 24  # columns of a report's grid


def figure_key(name: str) -> str:
    """The key that a figure of ours is logged under."""
    return f"report/{name}"


def report_blocks(experiment: Experiment, keys: Sequence[str], answer: str, figures: Sequence[str]) -> list[Any]:
    """The whole report: question and answer, our figures, one section for each axis, images, the table of runs."""
    import wandb_workspaces.reports.v2 as wr

    arms = plural(len(experiment.arms), "arm")
    counted = f"{plural(len(experiment.trials), 'trial')}: {arms}, seeds {list(experiment.seeds)}"
    baseline = f", baseline: {experiment.baseline}" if experiment.baseline else ""
    blocks: list[Any] = [
        wr.TableOfContents(),
        wr.H1("Question and answer"),
        wr.MarkdownBlock(experiment.question or experiment.name),
        wr.MarkdownBlock(answer or "No answer has been computed yet."),
        wr.MarkdownBlock(f"{counted}{baseline}. Bars and bands show one standard deviation over seeds, no interval."),
    ]
    if figures:
        blocks += [wr.H1("Intervals and differences"), _own_figures(experiment.name, figures)]
    for key in keys:
        blocks += [wr.H1(f"By {key}"), wr.PanelGrid(runsets=[_runs(experiment.name, key)], panels=_axis_panels(key))]
    blocks += [wr.H1("Images and runs"), wr.PanelGrid(runsets=[_runs(experiment.name)], panels=_run_panels())]
    return blocks


def workspace_sections(keys: Sequence[str]) -> list[Any]:
    """A section for each axis, one of images and one of costs."""
    import wandb_workspaces.workspaces as ws

    layout = ws.SectionLayoutSettings(columns=3, rows=2)
    named = [(f"by {key}", _axis_panels(key)) for key in keys] + [("images and runs", _run_panels())]
    return [
        ws.Section(name=name, panels=panels, is_open=True, pinned=place == 0, layout_settings=layout)
        for place, (name, panels) in enumerate(named)
    ]


def workspace_runs(experiment: str, keys: Sequence[str]) -> Any:
    """The experiment's trials, grouped by the axes, best first."""
    import wandb_workspaces.workspaces as ws

    return ws.RunsetSettings(
        filters=[ws.Config("experiment") == experiment],
        groupby=[ws.Config(key) for key in keys],
        order=[ws.Ordering(ws.Summary(SCORE), ascending=False)],
        pinned_columns=[f"summary:{SCORE}", "config:seed.value"],
    )


def _runs(experiment: str, key: str | None = None) -> Any:
    """The trials of an experiment. Neither entity nor project: the report's own, which asks the server nothing."""
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    return wr.Runset(
        name=f"{experiment} by {key}" if key else experiment,
        filters=[ws.Config("experiment") == experiment],
        groupby=[f"config.{key}"] if key else [],
        order=[wr.OrderBy(wr.SummaryMetric(SCORE), ascending=False)],
    )


def _own_figures(experiment: str, figures: Sequence[str]) -> Any:
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    runs = wr.Runset(name=f"report of {experiment}", filters=[ws.Config(REPORT_OF) == experiment])
    panels = [
        wr.MediaBrowser(
            title=name,
            media_keys=[figure_key(name)],
            mode="gallery",
            gallery_axis="run",
            num_columns=1,
            layout=wr.Layout(x=WIDTH // 2 * (place % 2), y=8 * (place // 2), w=WIDTH // 2, h=8),
        )
        for place, name in enumerate(figures)
    ]
    return wr.PanelGrid(runsets=[runs], panels=panels)


def _axis_panels(key: str) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    half, axis = WIDTH // 2, wr.Config(key)
    bars = {"groupby": axis, "groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"}
    return [
        wr.BarPlot(
            title=f"mIoU by {key} (mean and SD over runs)",
            metrics=[wr.SummaryMetric(SCORE)],
            layout=wr.Layout(x=0, y=0, w=half, h=8),
            **bars,
        ),
        wr.LinePlot(
            title="validation mIoU (mean and SD over runs)",
            x=STEP,
            y=["val/miou"],
            layout=wr.Layout(x=half, y=0, w=half, h=8),
            **bars,
        ),
        wr.LinePlot(
            title="training and validation loss (mean and SD over runs)",
            x=STEP,
            y=["train/loss", "val/loss"],
            layout=wr.Layout(x=0, y=8, w=half, h=8),
            **bars,
        ),
        wr.ParameterImportancePlot(with_respect_to=SCORE, layout=wr.Layout(x=half, y=8, w=half, h=8)),
    ]


def _run_panels() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    return [
        wr.MediaBrowser(
            title="photo with ground truth and prediction",
            media_keys=[PREDICTIONS],
            mode="grid",
            grid_x_axis="step",
            grid_y_axis="run",
            num_columns=4,
            layout=wr.Layout(x=0, y=0, w=WIDTH, h=12),
        ),
        wr.ScatterPlot(
            title="quality against training time",
            x=wr.SummaryMetric("cost/train_seconds"),
            y=wr.SummaryMetric(SCORE),
            layout=wr.Layout(x=0, y=12, w=WIDTH // 2, h=8),
        ),
        wr.RunComparer(diff_only="split", layout=wr.Layout(x=WIDTH // 2, y=12, w=WIDTH // 2, h=8)),
        wr.WeavePanelSummaryTable(table_name=CLASS_TABLE, layout=wr.Layout(x=0, y=20, w=WIDTH, h=10)),
        wr.WeavePanelSummaryTable(table_name=PREDICTION_TABLE, layout=wr.Layout(x=0, y=30, w=WIDTH, h=12)),
    ]
