"""The device's measured ceilings: matrix products and copies."""

from typing import TYPE_CHECKING

import torch

from gpu_sections.clock import milliseconds

if TYPE_CHECKING:
    from section_records import Records
    from sectioned import Context


def matmul_tflops(device: str, dtype: torch.dtype, size: int, tf32: bool = False) -> float:
    """Of a product of two random size x size matrices."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    try:
        return 2e-9 * size**3 / milliseconds(lambda: a @ b, device, 5)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def copy_gigabytes(device: str, mebibytes: int) -> float:
    """A second, bytes read and bytes written, of a copy within the device's memory."""
    source = torch.randint(0, 256, (mebibytes * 2**20,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2e-6 * source.numel() / milliseconds(lambda: target.copy_(source), device, 5)


def main(context: "Context", records: "Records") -> None:
    size, mebibytes = (256, 16) if context.small else (8192, 2048)
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        records.add("Peaks", f"matmul {name}, TFLOP/s", measured=matmul_tflops(context.device, dtype, size))
    if context.device == "cuda":
        records.add("Peaks", "matmul TF32, TFLOP/s", measured=matmul_tflops("cuda", torch.float32, size, tf32=True))
    records.add("Peaks", "matmul fp32, TFLOP/s", measured=matmul_tflops(context.device, torch.float32, size // 2))
    records.add("Peaks", "copy, GB/s read and written", measured=copy_gigabytes(context.device, mebibytes))
