"""Paired differences to the baseline, with intervals and adjusted p."""

from typing import Any

from segsuite.report.answers import p_text, withheld_text
from segsuite.report.sections.base import Figure, Material, Section
from segsuite.report.sections.dots import dot_rows
from segsuite.stats import CHECKPOINT_ONLY, TWO_WAY, WITHHELD, Comparison


def build(material: Material) -> Section | None:
    """One row an arm, in the order of the YAML; None without a baseline or a common seed."""
    comparisons = material.answers.comparisons.get("miou", ())
    known = [one for one in comparisons if one.difference is not None]
    sentences = [one.sentence() for one in comparisons]
    effects = [effect.sentence() for effect in material.answers.effects]
    if not comparisons:
        return None
    title = "Difference to the baseline"
    if not known:
        return Section("differences", title, notes=sentences)
    baseline = material.gathered.scores(known[0].baseline, "miou")
    seeds: dict[str, dict[int, float]] = {}
    means: dict[str, dict[str, Any]] = {}
    for one in known:
        of_arm = material.gathered.scores(one.arm, "miou")
        seeds[one.arm] = {seed: of_arm[seed] - baseline[seed] for seed in of_arm if seed in baseline}
        means[one.arm] = {"mean": one.difference, "low": one.low, "high": one.high, "text": _hover(one)}
    arms = [one.arm for one in known]
    data, layout, narrow = dot_rows(
        material, arms, seeds, means, "difference in mIoU (right: better than the baseline)", True
    )
    _add_p(known, layout, narrow)
    values = [value for trace in data for value in trace["x"]]
    values += [end for one in known for end in (one.low, one.high) if end is not None]
    edge = 0.06 * (max(*values, 0.0) - min(*values, 0.0)) or 0.01
    layout["xaxis"]["range"] = [min(*values, 0.0) - edge, max(*values, 0.0) + edge]
    figures = [Figure("differences", _caption(known, material), data, layout, narrow)]
    return Section("differences", title, figures=figures, details=[*sentences, *effects], summary="The same in words")


def _add_p(known: list[Comparison], layout: dict[str, Any], narrow: dict[str, Any]) -> None:
    """The adjusted p at the right end of each row, bold where it is evidence; the seeds where they are too few."""
    texts = {row: _right(one) for row, one in enumerate(known)}
    mark: dict[str, Any] = {"x": 1, "xref": "paper", "showarrow": False, "yanchor": "middle"}
    layout["annotations"] = [
        mark | {"xanchor": "left", "xshift": 8, "y": row, "text": text} for row, text in texts.items()
    ]
    layout["margin"] = {"r": 88}
    narrow["annotations"] += [
        mark | {"xanchor": "right", "y": row - 0.42, "text": text, "font": {"size": 12}} for row, text in texts.items()
    ]
    narrow["margin.r"] = 16


def _right(one: Comparison) -> str:
    if one.kind == WITHHELD:
        return "withheld"
    if one.kind != TWO_WAY:
        return f"{one.seeds} seed{'s' * (one.seeds != 1)}"
    text = p_text(one.p_holm).replace("<", "&lt;")
    return f"<b>{text}</b>" if one.evidence else text


def _hover(one: Comparison) -> tuple[str, ...]:
    if one.kind == TWO_WAY:
        return (f"Holm {p_text(one.p_holm).replace('<', '&lt;')}", f"{one.seeds} seeds, {one.units} units")
    return (f"{one.kind}: {one.reason}",) if one.reason else (one.kind,)


def _caption(known: list[Comparison], material: Material) -> str:
    name = material.styles[known[0].baseline].name
    text = f"mIoU of each arm minus that of the baseline {name}, paired by seed. Small: one seed. Large: mean of seeds."
    tested = [one for one in known if one.kind == TWO_WAY]
    if tested:
        seeds = " or ".join(str(count) for count in sorted({one.seeds for one in tested}))
        units = f"{tested[0].units} units (unit: {tested[0].unit})"
        text += (
            f" Bar: {100 * tested[0].level:g} % interval, seeds and images both random, n = {seeds} seeds x {units}, "
        )
        text += "not adjusted. p: after Holm over all arms; bold is evidence of a difference."
        smallest = [one.detectable_first_step for one in tested if one.detectable_first_step is not None]
        if smallest:
            text += f" Found with 80 % power: differences from {min(smallest):.3f} to {max(smallest):.3f}, by arm."
    if any(one.kind == CHECKPOINT_ONLY for one in known):
        text += f" Bars of one seed: interval over {known[0].units} units, about this checkpoint only, not the method."
    if any(one.kind not in (TWO_WAY, CHECKPOINT_ONLY, WITHHELD) for one in known):
        text += " Two seeds are too few for an interval."
    withheld = withheld_text(known, {arm: style.name for arm, style in material.styles.items()})
    if withheld:
        text += f" {withheld} So there are no intervals and no p."
    return text
