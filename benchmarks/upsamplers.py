"""Direct against fast form of upsamplers, forward and backward: time, and peak extra memory.

Times: CPU time (wall time with more than one thread), in fp32 and bf16 autocast, contiguous and channels_last.
Memory: how far one forward and backward raises the peak resident memory of a fresh process, after one on tiny maps.
A row says images x channels in -> channels out, and the height and width that go in.
Both forms are checked to give the same before they are timed.
"""

from collections.abc import Callable
from typing import NamedTuple

import timing
import torch
from torch import Tensor, nn
from upsampler_forms import FORMS, FUSION, pair

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
    now = timing.clock(torch.get_num_threads())

    def step() -> float:
        start = now()
        with torch.autocast("cpu", torch.bfloat16, enabled="bf16" in format_name):
            output = module(*inputs)
        torch.autograd.grad(output, sources, upstream)
        return now() - start

    return step


def steps(form: str, case: Case, format_name: str, threads: int) -> tuple[Callable[[], float], Callable[[], float]]:
    """A tiny step and the step itself, for a fresh process."""
    torch.set_num_threads(threads)
    module = pair(case.operator, case.in_channels, case.out_channels)[form]
    return step_of(module, case._replace(size=2), format_name), step_of(module, case, format_name)


def check_equal(case: Case) -> None:
    """Raises AssertionError unless both forms give the same, the outermost pixels of the output left out."""
    inputs, _ = features(case._replace(size=8), "fp32 contiguous")
    direct, fast = (module(*inputs) for module in pair(case.operator, case.in_channels, case.out_channels).values())
    torch.testing.assert_close(fast[..., 1:-1, 1:-1], direct[..., 1:-1, 1:-1], rtol=1e-4, atol=1e-4)


def main() -> None:
    parser = timing.options_of(__doc__, 9)
    parser.add_argument("--no-memory", dest="memory", action="store_false", help="times only")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    timing.fresh_process_imports(["torch", "segsuite.upsamplers.resize_conv"])
    cases = [case._replace(size=8, images=1) for case in CASES] if options.small else CASES
    formats = list(FORMATS)[:1] if options.small else list(FORMATS)
    seconds: dict[str, dict[str, list[float]]] = {}
    memory: dict[str, dict[str, list[float]]] = {}
    for place, case in enumerate(cases, 1):
        timing.told(f"{place} of {len(cases)}: {case}")
        check_equal(case)
        modules = pair(case.operator, case.in_channels, case.out_channels)
        for name in formats:
            row = f"{case}, {name}"
            timed = {form: step_of(module, case, name) for form, module in modules.items()}
            seconds[row] = timing.in_milliseconds(timing.side_by_side(timed, options.rounds))
            if options.memory and (not options.small or place == 1):
                memory[row] = {
                    form: [timing.extra_mebibytes(steps, form, case, name, options.threads)] for form in modules
                }
    tables = [timing.Table("Forward and backward", timing.MILLISECONDS, "fast", seconds)]
    tables += [timing.Table("Peak extra memory", timing.MEBIBYTES, "fast", memory)] if memory else []
    timing.show("upsamplers", options, tables)


if __name__ == "__main__":
    main()
