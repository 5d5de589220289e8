"""`precision: auto` against fp32 as a tutorial has it, on this CPU and on ones that it can pretend to be: fewer
instructions are left to torch and to the library that computes its convolutions."""

import os
from multiprocessing import get_context
from typing import TYPE_CHECKING

import precision
import timing
import torch

from segsuite.train.precision import resolve_precision
from step_sections.goals import at_least, ratio

if TYPE_CHECKING:
    from section_records import Records
    from sectioned import Context

CPUS = {
    "this CPU": {},
    "AVX-512 with bf16, no AMX": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"},
    "AVX-512 without bf16": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
}


def timed(shape: tuple[int, int, int], encoder: str, rounds: int) -> tuple[str, dict[str, list[float]]]:
    """What auto is here, and seconds of CPU time of a step, in turn."""
    torch.set_num_threads(1)
    auto = resolve_precision("auto", "cpu")
    forms = {
        "fp32, contiguous": precision.step(shape, encoder, False, False, False),
        "auto": precision.step(shape, encoder, auto == "bf16-mixed", True, True),
    }
    return auto, timing.cpu_side_by_side(forms, rounds)


def on_a_cpu(environment: dict[str, str], *arguments: object) -> tuple[str, dict[str, list[float]]]:
    """The same in a fresh process: the libraries read their limits once."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        with get_context("spawn").Pool(1) as fresh:
            return fresh.apply(timed, arguments)
    finally:
        os.environ.clear()
        os.environ.update(before)


def main(context: "Context", records: "Records") -> None:
    shape, rounds = ((2, 32, 32), 1) if context.small else ((2, 192, 256), 5)
    cpus = {"AVX2": CPUS["AVX2"]} if context.small else CPUS
    for encoder in ("resnet18",) if context.small else ("resnet18", "tf_efficientnet_lite0"):
        for cpu, environment in cpus.items():
            auto, seconds = on_a_cpu(environment, shape, encoder, rounds)
            row = f"{encoder}, {' x '.join(map(str, shape))}, {cpu}"
            medians = {form: 1e3 * sorted(values)[len(values) // 2] for form, values in seconds.items()}
            records.add("A training step, ms of CPU time, 1 thread", row, **medians, **{"auto is": auto})
            measured = ratio(seconds["fp32, contiguous"], seconds["auto"])
            why = f"auto is {auto} there, and channels_last"
            at_least(records, f"fp32 / precision auto, {encoder}, {cpu}", measured, 0.95, why)
