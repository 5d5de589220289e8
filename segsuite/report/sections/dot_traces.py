"""One panel of dots, one row an arm: seeds, mean with interval, value at the start, control."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segsuite.report.sections.base import Material
from segsuite.report.sections.scale import Scale
from segsuite.report.style import ArmStyle
from segsuite.stats import mean_interval

GREY = "#8A8F98"
TICK = "line-ns"


@dataclass(frozen=True)
class Panel:
    """One measure. `values`: arm -> seed -> value. `start` and `control`: arm -> value, if there is one. `intervals`:
    arm -> mean, low, high, in place of the t interval over seeds. `floor`: see `scale_of`; `reference`: a dotted line.
    `strong`: the arms whose mean is filled, the others being hollow; None: all.
    """

    title: str
    values: Mapping[str, Mapping[int, float]]
    start: Mapping[str, float] = field(default_factory=dict)
    control: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float, float]] | None = None
    percent: bool = False
    floor: float | None = None
    reference: float | None = None
    strong: frozenset[str] | None = None

    def interval(self, arm: str) -> tuple[float, float, float] | None:
        """Mean and interval of an arm, where there is one."""
        if self.intervals is not None:
            return self.intervals.get(arm)
        found = mean_interval(list(self.values.get(arm, {}).values()))
        return None if found is None else (found.mean, found.low, found.high)


def panel_traces(
    material: Material, arms: Sequence[str], panel: Panel, scale: Scale, number: str
) -> list[dict[str, Any]]:
    common = {"type": "scatter", "xaxis": f"x{number}", "yaxis": f"y{number}", "showlegend": False}
    common["hovertemplate"] = "%{text}<extra></extra>"
    styles = [material.styles[arm] for arm in arms]
    traces: list[dict[str, Any]] = []
    told = [(row, arm, panel.control[arm]) for row, arm in enumerate(arms) if arm in panel.control]
    if told:
        traces.append(
            common
            | {
                "mode": "markers",
                "x": [scale.at(value) for _, _, value in told],
                "y": [row for row, _, _ in told],
                "text": [f"{styles[row].label}<br>control {scale.text(value)}" for row, _, value in told],
                "marker": {"symbol": TICK, "size": 15, "color": GREY, "line": {"width": 2, "color": GREY}},
            }
        )
    told = [(row, arm, panel.start[arm]) for row, arm in enumerate(arms) if arm in panel.start]
    if told:
        traces.append(
            common
            | {
                "mode": "markers",
                "x": [scale.at(value) for _, _, value in told],
                "y": [row - 0.26 for row, _, _ in told],
                "text": [f"{styles[row].label}<br>at initialisation {scale.text(value)}" for row, _, value in told],
                "marker": {
                    "symbol": [f"{styles[row].symbol}-open" for row, _, _ in told],
                    "color": [styles[row].colour for row, _, _ in told],
                    "size": 9,
                    "line": {"width": 1.6},
                },
            }
        )
    seeds = [
        (row, place, seed, value)
        for row, arm in enumerate(arms)
        for place, (seed, value) in enumerate(panel.values.get(arm, {}).items())
    ]
    traces.append(
        common
        | {
            "mode": "markers",
            "x": [scale.at(value) for _, _, _, value in seeds],
            "y": [row + 0.2 + 0.08 * (place % 3) for row, place, _, _ in seeds],
            "text": [f"{styles[row].label}<br>seed {seed}: {scale.text(value)}" for row, _, seed, value in seeds],
            "marker": {
                "symbol": [styles[row].symbol for row, _, _, _ in seeds],
                "color": [styles[row].colour for row, _, _, _ in seeds],
                "size": 7,
                "opacity": 0.65,
            },
        }
    )
    traces += [
        common | _mean(row, panel, arm, scale, styles[row]) for row, arm in enumerate(arms) if panel.values.get(arm)
    ]
    return traces


def _mean(row: int, panel: Panel, arm: str, scale: Scale, style: ArmStyle) -> dict[str, Any]:
    interval = panel.interval(arm)
    mean = interval[0] if interval is not None else statistics.mean(panel.values[arm].values())
    lines = [style.label, f"mean {scale.text(mean)}"]
    marker: dict[str, Any] = {"color": style.colour, "symbol": style.symbol, "size": 12}
    marker["line"] = {"color": "#FFFFFF", "width": 1}
    if panel.strong is not None and arm not in panel.strong:
        marker |= {"symbol": f"{style.symbol}-open", "size": 11, "line": {"width": 2}}
    trace: dict[str, Any] = {"mode": "markers", "x": [scale.at(mean)], "y": [row], "marker": marker}
    if interval is not None:
        _, low, high = interval
        lines.append(f"{scale.text(low)} to {scale.text(high)}")
        trace["error_x"] = {
            "type": "data",
            "symmetric": False,
            "array": [min(scale.at(high), scale.high) - scale.at(mean)],
            # Not beyond the axis, over the names of the arms.
            "arrayminus": [scale.at(mean) - max(scale.at(low), scale.low)],
            "color": style.colour,
            "thickness": 2,
            "width": 4,
        }
    trace["text"] = ["<br>".join(lines)]
    return trace
