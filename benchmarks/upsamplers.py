"""Direct against fast form of upsamplers, forward and backward: time, and peak extra memory.

python benchmarks/upsamplers.py [--rounds 9] [--threads 1] [--no-memory] [--json FILE]
Times: the median over rounds, in turn, of the ratio of CPU time (wall time with more than one thread).
Memory: how far one forward and backward raises the peak resident memory of a fresh process, after one on tiny maps.
Both forms are checked to give the same before they are timed.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from timing import side_by_side
from torch import Tensor, nn
from upsampler_forms import FORMS, FUSION, pair

from segsuite.train.precision import peak_memory_bytes

FORMATS = {
    "fp32 contiguous": (torch.float32, torch.contiguous_format),
    "fp32 channels_last": (torch.float32, torch.channels_last),
    "bf16 contiguous": (torch.bfloat16, torch.contiguous_format),
    "bf16 channels_last": (torch.bfloat16, torch.channels_last),
}


class Case(NamedTuple):
    operator: str
    images: int
    in_channels: int
    out_channels: int
    size: int
    """Height and width that go in (of the finest of several)."""

    def __str__(self) -> str:
        return f"{self.operator}, {self.images} x {self.in_channels} -> {self.out_channels}, {self.size}x{self.size}"


CASES = [
    Case(operator, *shape)
    for operator in FORMS
    for shape in ([(1, 256, 256, 64)] if operator == FUSION else [(2, 64, 64, 64), (2, 256, 128, 32), (2, 128, 19, 64)])
]


def features(case: Case, format_name: str) -> tuple[list[Tensor], Tensor]:
    """Random features that go in, and a random gradient of what comes out."""
    dtype, layout = FORMATS[format_name]

    def random(channels: int, size: int) -> Tensor:
        return torch.empty(case.images, channels, size, size, dtype=dtype, memory_format=layout).normal_()

    if case.operator == FUSION:
        levels = [random(case.in_channels, max(case.size // 2**i, 1)) for i in range(4)]
        return [level.requires_grad_() for level in levels], random(case.out_channels, case.size)
    return [random(case.in_channels, case.size).requires_grad_()], random(case.out_channels, 2 * case.size)


def step_of(module: nn.Module, case: Case, format_name: str) -> Callable[[], float]:
    """Forward and backward; returns its seconds."""
    module = module.to(memory_format=FORMATS[format_name][1])
    inputs, upstream = features(case, format_name)
    sources = [*inputs, *module.parameters()]
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter

    def step() -> float:
        start = clock()
        with torch.autocast("cpu", torch.bfloat16, enabled="bf16" in format_name):
            output = module(*inputs)
        torch.autograd.grad(output, sources, upstream)
        return clock() - start

    return step


def extra_mebibytes(form: str, case: Case, format_name: str, threads: int) -> float:
    """How far one step raises the peak memory of this process; for a fresh one."""
    torch.set_num_threads(threads)
    module = pair(case.operator, case.in_channels, case.out_channels)[form]
    step_of(module, case._replace(size=2), format_name)()
    step = step_of(module, case, format_name)
    before = peak_memory_bytes("cpu")
    step()
    after = peak_memory_bytes("cpu")
    assert before is not None
    assert after is not None
    return (after - before) / 2**20


def measured(case: Case, format_name: str, options: argparse.Namespace) -> dict[str, Any]:
    modules = pair(case.operator, case.in_channels, case.out_channels)
    steps = {form: step_of(module, case, format_name) for form, module in modules.items()}
    seconds = side_by_side(steps, options.rounds)
    found: dict[str, Any] = {f"{form}_seconds": statistics.median(values) for form, values in seconds.items()}
    found["ratio"] = statistics.median(map(lambda a, b: a / b, seconds["direct"], seconds["fast"]))
    if options.memory:
        for form in modules:
            with multiprocessing.get_context("forkserver").Pool(1) as fresh:
                arguments = (form, case, format_name, options.threads)
                found[f"{form}_mebibytes"] = fresh.apply(extra_mebibytes, arguments)
    return found


def check_equal(case: Case) -> None:
    """Raises AssertionError unless both forms give the same, the outermost pixels of the output left out."""
    inputs, _ = features(case._replace(size=8), "fp32 contiguous")
    direct, fast = (module(*inputs) for module in pair(case.operator, case.in_channels, case.out_channels).values())
    torch.testing.assert_close(fast[..., 1:-1, 1:-1], direct[..., 1:-1, 1:-1], rtol=1e-4, atol=1e-4)


def print_table(title: str, rows: dict[Case, dict[str, dict[str, Any]]], cell: Callable[[dict[str, Any]], str]) -> None:
    print(f"\n{title}\n\n| | " + " | ".join(FORMATS) + " |\n|---|" + "---|" * len(FORMATS))
    for case, row in rows.items():
        print(f"| {case} | " + " | ".join(cell(row[format_name]) for format_name in FORMATS) + " |")


def time_cell(found: dict[str, Any]) -> str:
    return f"**{found['ratio']:.2f}** ({1e3 * found['direct_seconds']:.1f}, {1e3 * found['fast_seconds']:.1f})"


def memory_cell(found: dict[str, Any]) -> str:
    return f"{found['direct_mebibytes']:.0f}, {found['fast_mebibytes']:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-memory", dest="memory", action="store_false")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    multiprocessing.get_context("forkserver").set_forkserver_preload(["torch", "segsuite.upsamplers.resize_conv"])
    rows: dict[Case, dict[str, dict[str, Any]]] = {}
    for case in CASES:
        print(case, file=sys.stderr)
        check_equal(case)
        rows[case] = {format_name: measured(case, format_name, options) for format_name in FORMATS}
    capability = torch.backends.cpu.get_cpu_capability()
    print(f"torch {torch.__version__}, {capability}, {options.threads} threads, {options.rounds} rounds")
    print_table("Times as fast (ms direct, ms fast)", rows, time_cell)
    if options.memory:
        print_table("Peak extra memory, MiB (direct, fast)", rows, memory_cell)
    if options.json:
        found = [{**case._asdict(), "formats": row} for case, row in rows.items()]
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
