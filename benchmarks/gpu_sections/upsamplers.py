"""Each upsampler by 2, forward and backward under bf16 autocast, channels_last: time and memory."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from gpu_sections.clock import milliseconds, peak_mebibytes
from segsuite.upsamplers import UPSAMPLERS, build_upsampler

if TYPE_CHECKING:
    from section_records import Records
    from sectioned import Context

GUIDE_CHANNELS = 32


def step_of(name: str, x: torch.Tensor, guide: torch.Tensor) -> Callable[[], object]:
    """Output and gradients of an upsampler between equal channels."""
    module = build_upsampler(name, x.shape[1], x.shape[1], 2, GUIDE_CHANNELS)
    module = module.to(x.device, memory_format=torch.channels_last)

    def step() -> None:
        with torch.autocast(x.device.type, torch.bfloat16):
            y = module(x, None, guide)
        torch.autograd.grad(y.float().sum(), [x, *module.parameters()], allow_unused=True)

    return step


def main(context: "Context", records: "Records") -> None:
    device = context.device
    sizes = [(1, 8, 8, 8)] if context.small else [(8, 64, 96, 120), (8, 256, 24, 30)]
    for images, channels, height, width in sizes:
        table = f"Upsamplers x2, {images} x {channels} x {height} x {width}"
        x = torch.randn(images, channels, height, width, device=device).to(memory_format=torch.channels_last)
        x.requires_grad_()
        guide = torch.rand(images, GUIDE_CHANNELS, 2 * height, 2 * width, device=device)
        for name in UPSAMPLERS:
            try:
                step = step_of(name, x, guide)
                records.add(table, name, ms=milliseconds(step, device, 1 if context.small else 10, 3, 2))
                records.add(table, name, MiB=peak_mebibytes(step, device))
            except Exception as error:
                records.add(table, name, failed=f"{type(error).__name__}: {error}"[:200])
