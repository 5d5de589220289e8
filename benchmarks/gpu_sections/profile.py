"""Where a training step of the suite goes on the device: kernels by time, and how much of the time the device works."""

from typing import TYPE_CHECKING, Any

import torch
from torch.profiler import ProfilerActivity, profile

from gpu_sections.cases import CASES, SMALL, data_of, settings_of
from gpu_sections.training import Clock, fit

if TYPE_CHECKING:
    from section_records import Records
    from sectioned import Context

STEPS = 4


class Profiled(Clock):
    """Profiles a few steps after the first ones."""

    def __init__(self, device: str, first: int) -> None:
        super().__init__(device, 10**9, 0)
        self.begin, self.last = first, first + STEPS
        activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
        self.profile = profile(activities=activities)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.begin:
            self._wait()
            self.profile.__enter__()
        if trainer.global_step == self.last:
            self._wait()
            self.profile.__exit__(None, None, None)


def main(context: "Context", records: "Records") -> None:
    for case in SMALL if context.small else CASES[:2]:
        settings = settings_of(
            case,
            data_of(context.data, 16 if context.small else 128),
            train={"epochs": 1000, "validate_every": 1000, "max_steps": 12 + STEPS},
            execution={"device": context.device, "workers": 0 if context.small else 8},
        )
        clock = Profiled(context.device, 12 if not context.small else 2)
        clock.last = min(clock.last, clock.begin + STEPS)
        fit(settings, context.device, clock)
        found = clock.profile.key_averages()
        of_device = "self_device_time_total" if context.device == "cuda" else "self_cpu_time_total"
        ordered = sorted(found, key=lambda one: getattr(one, of_device), reverse=True)
        total = sum(getattr(one, of_device) for one in found)
        records.add(f"Profile of {case.name}", "all", **{"ms a step": total / 1e3 / STEPS, "calls": ""})
        for one in ordered[:25]:
            milliseconds = getattr(one, of_device) / 1e3 / STEPS
            records.add(
                f"Profile of {case.name}", one.key[:90], **{"ms a step": milliseconds, "calls": one.count / STEPS}
            )
        launches = sum(one.count for one in found if "LaunchKernel" in one.key)
        records.add(f"Profile of {case.name}", "kernel launches", calls=launches / STEPS)
        print(torch.__version__)
