"""Which arithmetic a processor computes fast."""

import math
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def resolve_device(name: str) -> str:
    """cpu, cuda or mps for `auto`; any other name is itself."""
    if name != "auto":
        return name
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def resolve_precision(name: str, device: str) -> str:
    """fp32, bf16-mixed or fp16-mixed for `auto`; any other name is itself.

    bf16-mixed where the hardware multiplies bf16: CUDA from compute capability 8, CPUs with AMX or AVX512_BF16.
    Elsewhere a CPU emulates it 3 to 25 times slower than fp32 (docs/decisions/0002-precision-auto.md).
    """
    if name != "auto":
        return name
    if device == "cuda":
        return "bf16-mixed" if torch.cuda.get_device_capability() >= (8, 0) else "fp16-mixed"
    return "bf16-mixed" if device == "cpu" and cpu_multiplies_bf16() else "fp32"


# Values of ONEDNN_MAX_CPU_ISA that leave the library that computes convolutions its instructions for bf16.
_ISA_WITH_BF16 = ("AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX512_CORE_AMX", "AVX10_", "ALL", "DEFAULT")


def cpu_multiplies_bf16() -> bool:
    """Whether this CPU has instructions for products of bf16 numbers, and ONEDNN_MAX_CPU_ISA does not forbid them."""
    return _isa_allows(_ISA_WITH_BF16) and bool(_cpu_flags() & {"amx_bf16", "avx512_bf16"})


def cpu_has_amx() -> bool:
    """Whether this CPU multiplies matrices of bf16 numbers by AMX, and ONEDNN_MAX_CPU_ISA does not forbid it."""
    return _isa_allows(("AVX512_CORE_AMX", "ALL", "DEFAULT")) and "amx_bf16" in _cpu_flags()


def _isa_allows(prefixes: tuple[str, ...]) -> bool:
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    return not limit or limit.startswith(prefixes)


def _cpu_flags() -> set[str]:
    if hasattr(torch.cpu, "get_capabilities"):  # from torch 2.12
        return {name for name, value in torch.cpu.get_capabilities().items() if value}
    try:
        return set(Path("/proc/cpuinfo").read_text().split("\n\n")[0].split())
    except OSError:
        return set()


def hardware(device: str) -> dict[str, Any]:
    """What the manifest says of the machine."""
    found: dict[str, Any] = {
        "device": device,
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cpu_multiplies_bf16": cpu_multiplies_bf16(),
    }
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        found |= {"gpu": properties.name, "gpu_memory_bytes": properties.total_memory, "cuda": torch.version.cuda}
    return found


def peak_memory_bytes(device: str) -> int | None:
    """Largest memory so far: of the GPU's allocator, or of this process on a CPU; None where it cannot be told."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    if device != "cpu":
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes on Linux, bytes on macOS


def taken_memory_bytes(device: str) -> int | None:
    """Largest memory so far that other processes could not have: on a GPU what torch's allocator holds, used or not."""
    return torch.cuda.max_memory_reserved() if device == "cuda" else peak_memory_bytes(device)


def matmul_flops(device: str, dtype: torch.dtype, now: Callable[[], float] = time.perf_counter) -> float:
    """Floating-point operations a second, by the clock `now`, of a product of two large matrices, the best of three;
    about a second."""
    size = 8192 if device == "cuda" else 1024
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best = math.inf
    for _ in range(4):  # the first one to warm up
        start = now()
        left @ right
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, now() - start)
    return 2 * size**3 / best
