"""All arms with all their numbers, in a table that can be sorted."""

from segsuite.report.answers import p_text, withheld_text
from segsuite.report.sections.base import Cell, Material, Section, Table
from segsuite.report.sections.cost import Cost, shown_costs
from segsuite.report.summary import SCORE_TITLES, SMALLER_BATCHES, ArmRow, seeds_in_words, summarise
from segsuite.stats import TWO_WAY, WITHHELD

NOTHING = Cell("-")
NO_VERDICT = Cell("withheld")


def build(material: Material) -> Section | None:
    """A row an arm, also for arms without a result."""
    rows = summarise(material)
    costs = {
        key: cost for key, cost in shown_costs(material).items() if any(row.costs[key] is not None for row in rows)
    }
    compared = any(row.comparison is not None for row in rows)
    boundary = list(rows[0].boundary) if rows else []
    others = [score for score in SCORE_TITLES if score != "miou"]
    columns = [("arm", False), ("seeds", True), ("mIoU", True), ("SD", True)]
    columns += [("difference", True), ("95 % interval", True), ("Holm p", True)] if compared else []
    columns += [(SCORE_TITLES[score], True) for score in others] + [(name.replace("_", " "), True) for name in boundary]
    columns += [(cost.short, True) for cost in costs.values()]
    cells = []
    for row in rows:
        line = [_arm(row), _seeds(row), _number(row.scores["miou"], row.is_best), _number(row.deviation)]
        line += _compared(row) if compared else []
        line += [_number(row.scores[score]) for score in others] + [_number(row.boundary[name]) for name in boundary]
        line += [_cost(row.costs[key], cost) for key, cost in costs.items()]
        cells.append(line)
    bold = " Bold: the best mIoU and all that cannot be told apart from it." if any(row.is_best for row in rows) else ""
    caption = "Means over finished seeds; SD: standard deviation of mIoU over seeds; difference: mIoU, to the baseline."
    marked = f" {SMALLER_BATCHES}." if any(row.is_marked for row in rows) else ""
    found = [row.comparison for row in rows if row.comparison is not None]
    withheld = withheld_text(found, {row.arm: row.name for row in rows})
    told = f" {withheld}" if withheld else ""
    return Section("table", "All numbers", table=Table(columns, cells, caption + bold + marked + told))


def _arm(row: ArmRow) -> Cell:
    return Cell(row.name + (" (baseline)" if row.is_baseline else ""), row.name, colour=row.colour)


def _seeds(row: ArmRow) -> Cell:
    return Cell(seeds_in_words(row), row.seeds, strong=row.seeds < row.planned)


def _number(value: float | None, strong: bool = False) -> Cell:
    return NOTHING if value is None else Cell(f"{value:.3f}", value, strong)


def _compared(row: ArmRow) -> list[Cell]:
    one = row.comparison
    if one is None or one.difference is None:
        return [NOTHING] * 3
    difference = Cell(f"{one.difference:+.3f}", one.difference, one.evidence)
    if one.kind == WITHHELD:
        return [difference, NO_VERDICT, NO_VERDICT]
    if one.kind != TWO_WAY or one.low is None or one.high is None:
        return [difference, NOTHING, NOTHING]
    interval = Cell(f"{one.low:+.3f} to {one.high:+.3f}", one.difference)
    return [
        difference,
        interval,
        Cell(p_text(one.p_holm).removeprefix("p ").removeprefix("= "), one.p_holm, one.evidence),
    ]


def _cost(value: float | None, cost: Cost) -> Cell:
    return NOTHING if value is None else Cell(cost.shown(value), value)
