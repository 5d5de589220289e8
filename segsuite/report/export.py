"""The files beside the page: every trial as a row of a CSV, everything as JSON, the arms as LaTeX and Markdown."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from segsuite.metrics import SCALAR_SCORES
from segsuite.metrics.groups import FREQUENCY_GROUPS
from segsuite.report.answers import p_text, withheld_text
from segsuite.report.boundaries import compare_boundaries
from segsuite.report.checkerboards import Measured, measured
from segsuite.report.gather import Gathered, TrialRecord, number
from segsuite.report.losses import ArmLoss, arm_losses, class_weights, losses_differ
from segsuite.report.overview import overview
from segsuite.report.sections.base import Material, Section
from segsuite.report.sections.boundary import boundary_scores
from segsuite.report.sections.cost import COSTS
from segsuite.report.summary import SMALLER_BATCHES, ArmRow, seeds_in_words, summarise
from segsuite.stats import TWO_WAY, WITHHELD

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}
# Columns of the CSV, and where in result.json they are, if the trials have them.
PARTS = {
    "mean_average_precision": ("ranking", "mean_average_precision"),
    "mean_auc": ("ranking", "mean_auc"),
    "ece": ("calibration", "ece"),
    "brier": ("calibration", "brier"),
    **{f"{group}_miou": ("groups", "frequency", group, "miou") for group in FREQUENCY_GROUPS},
    **{f"loss_{name}": (f"loss_{name}",) for name in ("gradient_norm", "reference_norm", "factor")},
}
# A cell that begins so is a formula to a spreadsheet, in the body and in the header.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def results_csv(gathered: Gathered) -> str:
    """One line a trial, finished or not; numbers are those of result.json, to the last digit.

    Columns `loss_weights/SETTING/CLASS` are the class weights of the loss, `loss` is the loss in words, both where arms
    differ in it. Columns `checkerboard/PLACE/MEASURE[/sSTRIDE]` are of the scored weights, minus the control where less
    is better.
    """
    boundary = list(dict.fromkeys(name for trial in gathered.finished for name in boundary_scores(trial)))
    artefacts = _artefacts(measured(gathered))
    artefact_names = list(dict.fromkeys(name for found in artefacts.values() for name in found))
    parts = [name for name, keys in PARTS.items() if any(one.within(*keys) is not None for one in gathered.finished)]
    axes = list(gathered.axes)
    losses = arm_losses(gathered) if losses_differ(gathered) else {}
    marked = any(trial.smaller_batches for trial in gathered.finished)
    weights = list(dict.fromkeys(name for one in losses.values() for name in _flat(one.weights)))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    header = ["id", "arm", *axes, "seed", "is_baseline", "state", "epochs", *SCALAR_SCORES, *boundary, *parts, *COSTS]
    header += [*(["loss"] if losses else []), *weights, *(f"iou/{name}" for name in gathered.classes)]
    header += [*artefact_names, *(["smaller_batches"] if marked else []), "reason"]
    rows: list[list[Any]] = [header]
    for trial in gathered.trials:
        row: list[Any] = [trial.id, trial.arm, *(gathered.axes[axis][trial.arm] for axis in axes), trial.seed]
        row += [str(trial.arm == gathered.baseline).lower(), trial.state, len(trial.events)]
        row += [trial.score(score) for score in SCALAR_SCORES]
        row += [boundary_scores(trial).get(name) for name in boundary]
        row += [number(trial.within(*PARTS[name])) for name in parts]
        row += [_exact(trial, cost) for cost in COSTS]
        row += [losses[trial.arm].words] if losses else []
        row += [_flat(class_weights(trial)).get(name) for name in weights]
        row += [trial.class_score("iou", name) for name in gathered.classes]
        of_trial = artefacts.get(trial.id, {})
        row += [of_trial[name]["excess"] if name in of_trial else None for name in artefact_names]
        row += [*([trial.smaller_batches] if marked else []), trial.reason]
        rows.append(row)
    writer.writerows([_plain(cell) for cell in row] for row in rows)
    return buffer.getvalue()


def report_json(material: Material, sections: Sequence[Section]) -> dict[str, Any]:
    """Every number of the page, and the sentences; the figures are in figures/."""
    gathered, answers = material.gathered, material.answers
    seen, artefacts = overview(material), _artefacts(measured(gathered))
    return {
        "experiment": gathered.name,
        "question": gathered.question,
        "answer": answers.sentence,
        "baseline": gathered.baseline,
        "seeds": list(gathered.seeds),
        "missing": seen.alarm,
        "notices": list(seen.notices),
        "arms": [_arm_json(row, material) for row in summarise(material)],
        "best": None
        if answers.best is None
        else {"arm": answers.best.arm, "inseparable": list(answers.best.inseparable), "tested": answers.best.tested},
        "comparisons": {
            score: [_said(one) for one in comparisons] for score, comparisons in answers.comparisons.items()
        },
        "boundary_comparisons": {
            score: [_said(one) for one in comparisons] for score, comparisons in compare_boundaries(gathered).items()
        },
        "class_comparisons": [_said(one) for one in answers.classes],
        "effects": [_said(one) for one in answers.effects],
        "trials": [_trial_json(trial, artefacts.get(trial.id)) for trial in gathered.trials],
        "losses": {arm: _loss_json(one) for arm, one in arm_losses(gathered).items()},
        "figures": {figure.name: figure.caption for section in sections for figure in section.figures},
    }


def table_tex(material: Material) -> str:
    """A booktabs table: best in bold, with all that cannot be told apart from it. Needs \\usepackage{booktabs}."""
    rows = summarise(material)
    columns = _columns(rows)
    lines = [
        f"% {_one_line(material.gathered.name)}: made by segsuite report; needs \\usepackage{{booktabs}}",
        f"% {_one_line(material.answers.sentence)}",
        rf"\begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}",
        r"\toprule",
        " & ".join(latex(title) for title in columns) + r" \\",
        r"\midrule",
    ]
    for row in rows:
        cells = [latex(cell) for cell in _cells(row, columns)]
        if row.is_best:
            cells[2] = rf"\textbf{{{cells[2]}}}"
        lines.append(" & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [f"% {_one_line(text)}" for text in [_withheld(rows)] if text]
    return "\n".join(lines + ([f"% {SMALLER_BATCHES}"] if any(row.is_marked for row in rows) else [])) + "\n"


def table_md(material: Material) -> str:
    """The same table in Markdown, under the answer."""
    rows = summarise(material)
    columns = _columns(rows)
    lines = [markdown(material.answers.sentence), "", _md_line([markdown(title) for title in columns])]
    lines.append(_md_line(["---", *["---:"] * (len(columns) - 1)]))
    for row in rows:
        cells = [markdown(cell) for cell in _cells(row, columns)]
        if row.is_best:
            cells[2] = f"**{cells[2]}**"
        lines.append(_md_line(cells))
    note = (
        "mIoU: mean and standard deviation over finished seeds; bold: the best and what cannot be told apart from it."
    )
    if any(row.is_marked for row in rows):
        note += f" {markdown(SMALLER_BATCHES)}."
    if withheld := _withheld(rows):
        note += f" {markdown(withheld)}"
    return "\n".join([*lines, "", note]) + "\n"


def _withheld(rows: Sequence[ArmRow]) -> str:
    found = [row.comparison for row in rows if row.comparison is not None]
    return withheld_text(found, {row.arm: row.name for row in rows})


def latex(text: str) -> str:
    """`text` so that LaTeX prints it letter by letter.

    >>> latex("a_b & 50 %")
    'a\\\\_b \\\\& 50 \\\\%'
    """
    escaped = "".join(LATEX.get(letter, letter) for letter in text)
    # Two hyphens would become a dash, and one before a number is a minus.
    escaped = re.sub(r"(?<![\w.])-(?=\d)", "$-$", escaped.replace(" +- ", r" $\pm$ "))
    return escaped.replace("--", "-{}-")


def markdown(text: str) -> str:
    """`text` so that Markdown, in a table or out of it, prints it letter by letter."""
    escaped = "".join(f"\\{letter}" if letter in r"\`*_{}[]()#|~!" else letter for letter in text)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _columns(rows: Sequence[ArmRow]) -> list[str]:
    columns = ["arm", "seeds", "mIoU"]
    if any(row.comparison is not None for row in rows):
        columns += ["difference", "95 % interval", "Holm p"]
    columns += ["pixel acc.", "mean Dice"]
    return columns + (["parameters (M)"] if any(row.costs["parameters"] is not None for row in rows) else [])


def _cells(row: ArmRow, columns: Sequence[str]) -> list[str]:
    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    deviation = "" if row.deviation is None else f" +- {row.deviation:.3f}"
    miou = shown(row.scores["miou"]) + (deviation if row.scores["miou"] is not None else "")
    cells = {"arm": row.name + (" (baseline)" if row.is_baseline else ""), "seeds": seeds_in_words(row), "mIoU": miou}
    cells |= {"pixel acc.": shown(row.scores["pixel_accuracy"]), "mean Dice": shown(row.scores["mean_dice"])}
    parameters = row.costs["parameters"]
    cells["parameters (M)"] = "-" if parameters is None else COSTS["parameters"].shown(parameters)
    one = row.comparison
    if one is not None and one.difference is not None:
        cells["difference"] = f"{one.difference:+.3f}"
        if one.kind == TWO_WAY and one.low is not None and one.high is not None:
            cells["95 % interval"] = f"{one.low:+.3f} to {one.high:+.3f}"
            cells["Holm p"] = p_text(one.p_holm).removeprefix("p ").removeprefix("= ")
        if one.kind == WITHHELD:
            cells["95 % interval"] = cells["Holm p"] = "withheld"
    return [cells.get(column, "-") for column in columns]


def _arm_json(row: ArmRow, material: Material) -> dict[str, Any]:
    interval = material.answers.intervals.get(row.arm)
    return {
        "arm": row.arm,
        "name": row.name,
        "axes": {axis: values[row.arm] for axis, values in material.gathered.axes.items()},
        "is_baseline": row.is_baseline,
        "seeds_finished": row.seeds,
        "seeds_planned": row.planned,
        "mean_scores": dict(row.scores),
        "miou_standard_deviation": row.deviation,
        "miou_interval": None if interval is None else asdict(interval) | {"sentence": interval.sentence()},
        "mean_boundary_scores": dict(row.boundary),
        "mean_costs": dict(row.costs),
        "best_or_inseparable": row.is_best,
    }


def _loss_json(one: ArmLoss) -> dict[str, Any]:
    """`gradient_by_cross_entropy` and `factor`: seed -> number, as `report.losses.ArmLoss` has them."""
    return {
        "loss": one.words,
        "matched_to_cross_entropy": one.matched,
        "class_weights": one.weights,
        "gradient_by_cross_entropy": {str(seed): value for seed, value in one.relative.items()},
        "factor": {str(seed): value for seed, value in one.factors.items()},
    }


def _flat(weights: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {f"loss_weights/{setting}/{name}": value for setting, of in weights.items() for name, value in of.items()}


def _said(one: Any) -> Mapping[str, Any]:
    return asdict(one) | {"evidence": one.evidence, "sentence": one.sentence()}


def _artefacts(found: Measured) -> dict[str, dict[str, dict[str, float | None]]]:
    """Trial id -> key -> value, control and excess of the scored weights, as `checkerboards.Row` has them."""
    return {
        name: {row.key: {"value": row.value, "control": row.control, "excess": row.excess} for row in one.final}
        for name, one in found.by_trial.items()
        if one.final
    }


def _trial_json(trial: TrialRecord, artefacts: Mapping[str, Any] | None) -> dict[str, Any]:
    result = trial.result or {}
    kept = (
        *("scores", "class_scores", "boundary_scores", "ranking", "calibration", "groups"),
        *("scored", "cost", "epochs", "precision", "device"),
        *("smaller_batch", "packed", "loss_weights", "loss_gradient_norm", "loss_reference_norm", "loss_factor"),
    )
    record = {"id": trial.id, "arm": trial.arm, "seed": trial.seed, "state": trial.state, "reason": trial.reason}
    record |= {key: result[key] for key in kept if key in result}
    return record if artefacts is None else record | {"checkerboards": artefacts}


def _exact(trial: TrialRecord, cost: str) -> Any:
    """The number as result.json has it: a whole one stays whole."""
    return None if trial.cost(cost) is None else (trial.result or {})["cost"][cost]


def _plain(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _md_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _one_line(text: str) -> str:
    return " ".join(text.split())
