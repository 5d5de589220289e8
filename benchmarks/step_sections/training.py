"""A training step, data included: stock, bare loop and the path of `segsuite run`, in turn."""

import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import timing
import torch
from gpu_sections import rivals
from gpu_sections.cases import Case, data_of, settings_of
from gpu_sections.training import Clock, fit, operations

from segsuite.config import Execution
from segsuite.train.evaluation import AUTOCAST
from segsuite.train.precision import cpu_has_amx, matmul_flops, resolve_precision
from segsuite.trial.threads import choose_threads
from step_sections import stock
from step_sections.goals import at_least, ratio
from step_sections.images import with_images

if TYPE_CHECKING:
    from section_records import Records
    from sectioned import Context

R18 = Case("U-Net r18, 4 x 384 x 480", {"name": "unet", "encoder": "resnet18"}, (384, 480), 4)
LITE0 = Case("U-Net lite0, 8 x 256 x 320", {"name": "unet", "encoder": "tf_efficientnet_lite0"}, (256, 320), 8)
SMALL_LITE0 = Case("U-Net lite0, 2 x 32 x 64", LITE0.model, (32, 64), 2)
SMALL = Case("U-Net r18, 2 x 32 x 64", {"name": "unet", "encoder": "resnet18"}, (32, 64), 2)
CROSS_ENTROPY: dict[str, Any] = {"name": "cross_entropy"}
COMBINED: dict[str, Any] = {"name": "sum", "terms": [CROSS_ENTROPY, {"name": "dice"}, {"name": "focal"}]}
TABLE = "A training step, ms"
Now = Callable[[], float]


def suite(case: Case, context: "Context", loss: dict[str, Any], warmup: int, timed: int, now: Now) -> float:
    """Seconds a step by the path of `segsuite run`."""
    train = {"epochs": 1000, "max_steps": warmup + timed, "validate_every": 1000}
    settings = settings_of(case, data_of(context.data, 0), train=train, loss=loss, execution={"device": "cpu"})
    clock = Clock("cpu", warmup, timed, now=now)
    fit(settings, "cpu", clock)
    return clock.seconds / timed


def bare(
    case: Case, context: "Context", loss: rivals.LossFunction, warmup: int, timed: int, now: Now
) -> Callable[[], float]:
    step = rivals.bare_step(case, context, 0, loss_of=loss)

    def seconds_a_step() -> float:
        for _ in range(warmup):
            step()
        start = now()
        for _ in range(timed):
            step()
        return (now() - start) / timed

    return seconds_a_step


def compared(case: Case, context: "Context", combined: bool, steps: tuple[int, int, Now]) -> timing.Forms:
    """What takes the seconds of a step of each form."""
    own = COMBINED if combined else CROSS_ENTROPY
    other = stock.combined() if combined else rivals.cross_entropy
    return {
        "stock": lambda: stock.seconds_a_step(case, context, other, *steps),
        "bare loop": bare(case, context, other, *steps),
        "segsuite": lambda: suite(case, context, own, *steps),
    }


def main(context: "Context", records: "Records") -> None:
    context = with_images(context)
    # As many as a trial takes that starts now: with more than are free, steps wait for each other.
    threads = choose_threads(Execution(), "cpu").number
    torch.set_num_threads(threads)
    # With one thread by CPU time, which other work hardly touches.
    now = timing.clock(threads)
    rounds, steps = (1, (1, 2, now)) if context.small else (3, (1, 2, now))
    precision = AUTOCAST.get(resolve_precision("auto", "cpu"), torch.float32)
    peak = matmul_flops("cpu", precision, now)
    r18, lite0 = (SMALL, SMALL_LITE0) if context.small else (R18, LITE0)
    plans = [
        ("cross entropy + dice + focal", r18, True, "stock", 5.0),
        ("cross entropy", r18, False, "stock", 4.0),
        ("cross entropy", lite0, False, "bare loop", 2.0),
    ]
    forms = [compared(case, context, combined, steps) for _, case, combined, _, _ in plans]
    floors = [operations(case, context) / peak for _, case, _, _, _ in plans]
    seconds: list[dict[str, list[float]]] = [{name: [] for name in form} for form in forms]
    for turn in range(rounds):  # what is there when the time is over was timed in turn
        for plan, form, floor, found in zip(plans, forms, floors, seconds, strict=True):
            for name, values in timing.side_by_side(form, 1, warmup=0, first_turn=turn).items():
                found[name] += values
            name, case, _, against, goal = plan
            row = f"{case.name}, {name}"
            middle = {form: 1e3 * statistics.median(values) for form, values in found.items()}
            of_machine = {"floor of the arithmetic": 1e3 * floor, "rounds": turn + 1, "threads": threads}
            records.add(TABLE, row, **middle, **of_machine)
            for other in ("stock", "bare loop"):
                records.add("Times as long as segsuite", row, **{other: ratio(found[other], found["segsuite"])})
            own = min(found["segsuite"])
            why = f"{floor / own:.0%} of {1e3 * own:.0f} ms are products of matrices at its peak"
            why += "" if cpu_has_amx() else "; no AMX here, with which the goal was set"
            at_least(records, f"{row}: {against} / segsuite", ratio(found[against], found["segsuite"]), goal, why)
