"""Quality against cost, one figure a measured cost, with the arms that no other beats in both."""

import statistics
from collections.abc import Mapping
from typing import Any, NamedTuple

from segsuite.errors import plural
from segsuite.report.answers import counted
from segsuite.report.sections.base import Figure, Material, Section


class Cost(NamedTuple):
    """A key of result.json's `cost`: its title, a short one with the unit for tables, the unit, how much of the file's
    unit that is, and decimals."""

    title: str
    short: str
    unit: str
    scale: float
    decimals: int

    def shown(self, value: float) -> str:
        """The value of the file in the unit, without it."""
        return f"{value / self.scale:.{self.decimals}f}"


COSTS: dict[str, Cost] = {
    "parameters": Cost("Parameters", "parameters (M)", "million", 1e6, 2),
    "multiply_adds": Cost("Multiply-adds of one image", "mult.-adds (G)", "billion", 1e9, 2),
    "inference_milliseconds": Cost("Time to predict one image", "ms / image", "ms", 1.0, 1),
    "peak_memory_bytes": Cost("Peak memory in training", "memory (GiB)", "GiB", 2.0**30, 2),
    "train_seconds": Cost("Training of one trial", "hours / trial", "hours", 3600.0, 3),
}
HOURS, MINUTES = COSTS["train_seconds"], Cost("Training of one trial", "minutes / trial", "minutes", 60.0, 1)
FRONT = (
    "Named, on the dotted line: arms that no other arm beats in both (Pareto front). Means without intervals: "
    "what can be told apart is above."
)
# Costs nearer than this are one cost: they would be drawn on one spot.
SAME = 0.005


def build(material: Material) -> Section | None:
    """A figure for each cost that was measured and differs between arms; a sentence for each that does not."""
    figures, notes = [], []
    for key, cost in shown_costs(material).items():
        costs = mean_costs(material, key)
        if not costs:
            continue
        low, high = min(costs.values()), max(costs.values())
        if high - low <= SAME * high:
            many = (
                "" if len(costs) == 1 else " in every arm" if high == low else f" in every arm, within {100 * SAME:g} %"
            )
            notes.append(f"{cost.title}: {cost.shown(low)} {cost.unit}{many}.")
        else:
            figures.append(_figure(material, key, cost, costs))
    if not figures and not notes:
        return None
    if figures:
        notes.insert(0, FRONT)
    packed = sum(trial.within("packed") is not None for trial in material.gathered.finished)
    if packed:
        notes.append(
            f"Times of {plural(packed, 'trial')} are not comparable: they shared a job and its devices with others."
        )
    return Section("cost", "Quality against cost", notes=(" ".join(notes),), figures=figures)


def shown_costs(material: Material) -> dict[str, Cost]:
    """COSTS, with short trainings in minutes."""
    seconds = [cost for trial in material.gathered.finished if (cost := trial.cost("train_seconds")) is not None]
    return COSTS | {"train_seconds": MINUTES if max(seconds, default=0.0) < HOURS.scale else HOURS}


def mean_costs(material: Material, key: str) -> dict[str, float]:
    """Arm -> its mean cost over the finished trials that measured it, for arms that also have a score."""
    found = {}
    for arm in material.gathered.shown:
        values = [cost for trial in material.gathered.done(arm) if (cost := trial.cost(key)) is not None]
        if values and material.gathered.scores(arm, "miou"):
            found[arm] = statistics.mean(values)
    return found


def front(costs: Mapping[str, float], scores: Mapping[str, float]) -> list[str]:
    """The arms, by cost, that no other arm beats or equals in both while beating it in one (the Pareto front).

    >>> front({"a": 1.0, "b": 2.0, "c": 3.0}, {"a": 0.5, "b": 0.4, "c": 0.6})
    ['a', 'c']
    """
    best: list[str] = []
    for arm in sorted(costs, key=lambda arm: (costs[arm], -scores[arm])):
        if not best or scores[arm] > scores[best[-1]]:
            best.append(arm)
    return best


def _figure(material: Material, key: str, cost: Cost, costs: Mapping[str, float]) -> Figure:
    scores = {arm: statistics.mean(material.gathered.scores(arm, "miou").values()) for arm in costs}
    optimal = front(costs, scores)
    line = {
        "type": "scatter",
        "mode": "lines",
        "x": [costs[arm] / cost.scale for arm in optimal],
        "y": [scores[arm] for arm in optimal],
        "line": {"color": "#8A8F98", "width": 1.5, "shape": "hv", "dash": "dot"},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    data: list[dict[str, Any]] = [line]
    middle = (min(costs.values()) + max(costs.values())) / 2
    for arm in costs:
        style = material.styles[arm]
        data.append(
            {
                "type": "scatter",
                "mode": "markers+text" if arm in optimal else "markers",
                "x": [costs[arm] / cost.scale],
                "y": [scores[arm]],
                "name": style.label,
                "text": [style.label],
                "textposition": "top right" if costs[arm] <= middle else "top left",
                "cliponaxis": False,
                "marker": {"color": style.colour, "symbol": style.symbol, "size": 12},
                "hovertemplate": f"%{{text}}<br>%{{x:.{cost.decimals}f}} {cost.unit}<br>mIoU %{{y:.3f}}<extra></extra>",
            }
        )
    # Not narrower than what seeds alone do, so that chance does not look like a difference.
    of_seeds = [list(material.gathered.scores(arm, "miou").values()) for arm in costs]
    deviation = max((statistics.stdev(values) for values in of_seeds if len(values) > 1), default=0.0)
    spread = max(max(scores.values()) - min(scores.values()), 2 * deviation) or 0.01
    middle_score = (max(scores.values()) + min(scores.values())) / 2
    wide = (max(costs.values()) - min(costs.values())) / cost.scale
    layout = {
        "height": 340,
        "showlegend": False,
        "xaxis": {
            "title": {"text": f"{cost.title} ({cost.unit})"},
            "range": [min(costs.values()) / cost.scale - 0.12 * wide, max(costs.values()) / cost.scale + 0.12 * wide],
        },
        "yaxis": {
            "title": {"text": "mIoU, mean of seeds"},
            "range": [middle_score - 0.65 * spread, middle_score + 0.75 * spread],
        },
        "margin": {"t": 24},
    }
    seeds = counted(map(len, of_seeds))
    caption = f"{cost.title}; mean mIoU of {seeds}."
    if key in ("inference_milliseconds", "peak_memory_bytes", "train_seconds"):
        caption += f" Measured on {devices(material)}."
    return Figure(f"cost-{key.replace('_', '-')}", caption, data, layout)


def devices(material: Material) -> str:
    """The devices that the trials ran on, as words."""
    found = dict.fromkeys(str(trial.result.get("device", "?")) for trial in material.gathered.finished if trial.result)
    return " and ".join(found)
