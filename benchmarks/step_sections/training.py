"""A training step, data included: stock, bare loop and the path of `segsuite run`, in turn."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import timing
import torch
from gpu_sections import rivals
from gpu_sections.cases import Case, data_of, settings_of
from gpu_sections.training import Clock, fit, operations

from segsuite.train.evaluation import AUTOCAST
from segsuite.train.precision import matmul_flops, resolve_precision
from step_sections import stock
from step_sections.goals import at_least, ratio
from step_sections.images import with_images

if TYPE_CHECKING:
    from section_records import Records
    from sectioned import Context

R18 = Case("U-Net r18, 4 x 384 x 480", {"name": "unet", "encoder": "resnet18"}, (384, 480), 4)
LITE0 = Case("U-Net lite0, 8 x 256 x 320", {"name": "unet", "encoder": "tf_efficientnet_lite0"}, (256, 320), 8)
SMALL = Case("U-Net r18, 2 x 32 x 64", {"name": "unet", "encoder": "resnet18"}, (32, 64), 2)
CROSS_ENTROPY: dict[str, Any] = {"name": "cross_entropy"}
COMBINED: dict[str, Any] = {"name": "sum", "terms": [CROSS_ENTROPY, {"name": "dice"}, {"name": "focal"}]}
TABLE = "A training step, ms"


def suite(case: Case, context: "Context", loss: dict[str, Any], warmup: int, timed: int) -> float:
    """Seconds a step by the path of `segsuite run`."""
    train = {"epochs": 1000, "max_steps": warmup + timed, "validate_every": 1000}
    settings = settings_of(case, data_of(context.data, 0), train=train, loss=loss, execution={"device": "cpu"})
    clock = Clock("cpu", warmup, timed)
    fit(settings, "cpu", clock)
    return clock.seconds / timed


def bare(case: Case, context: "Context", loss: rivals.LossFunction, warmup: int, timed: int) -> Callable[[], float]:
    step = rivals.bare_step(case, context, 0, loss_of=loss)

    def seconds_a_step() -> float:
        for _ in range(warmup):
            step()
        start = time.perf_counter()
        for _ in range(timed):
            step()
        return (time.perf_counter() - start) / timed

    return seconds_a_step


def compared(
    case: Case, context: "Context", combined: bool, rounds: int, steps: tuple[int, int]
) -> dict[str, list[float]]:
    """Seconds a step of each form, round by round."""
    own = COMBINED if combined else CROSS_ENTROPY
    other = stock.combined() if combined else rivals.cross_entropy
    forms = {
        "stock": lambda: stock.seconds_a_step(case, context, other, *steps),
        "bare loop": bare(case, context, other, *steps),
        "segsuite": lambda: suite(case, context, own, *steps),
    }
    return timing.side_by_side(forms, rounds, warmup=0)


def main(context: "Context", records: "Records") -> None:
    context = with_images(context)
    rounds, steps = (1, (2, 2)) if context.small else (3, (2, 4))
    precision = AUTOCAST.get(resolve_precision("auto", "cpu"), torch.float32)
    peak = matmul_flops("cpu", precision)
    r18, lite0 = (SMALL, SMALL) if context.small else (R18, LITE0)
    plans = (
        ("cross entropy + dice + focal", r18, True, "stock", 5.0),
        ("cross entropy", r18, False, "stock", 4.0),
        ("cross entropy, lite0", lite0, False, "bare loop", 2.0),
    )
    for name, case, combined, against, goal in plans:
        row = f"{case.name}, {name}"
        seconds = compared(case, context, combined, rounds, steps)
        floor = operations(case, context) / peak
        for form, values in seconds.items():
            records.add(TABLE, row, **{form: 1e3 * sorted(values)[len(values) // 2]})
        records.add(TABLE, row, **{"floor of the arithmetic": 1e3 * floor, "rounds": rounds})
        for form in ("stock", "bare loop"):
            records.add("Times as long as segsuite", row, **{form: ratio(seconds[form], seconds["segsuite"])})
        own = min(seconds["segsuite"])
        why = f"of {1e3 * own:.0f} ms at best, {floor / own:.0%} are the floor of {precision} products of matrices here"
        at_least(records, f"{row}: {against} / segsuite", ratio(seconds[against], seconds["segsuite"]), goal, why)
