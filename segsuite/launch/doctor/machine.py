"""Whether this machine can train: Python, torch, GPUs, cores, memory."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from segsuite.io.imports import of_a_child
from segsuite.io.machine import cores
from segsuite.launch.doctor import Check, ok, problem, warning
from segsuite.launch.slots import BYTES_PER_WORKER, available_memory, visible_gpus

SECONDS = 180.0
# In a process of its own: torch takes seconds to import, and a broken driver may end the process.
PROGRAM = """
import json, torch, pytorch_lightning
count = torch.cuda.device_count() if torch.cuda.is_available() else 0
print(json.dumps({
    "torch": torch.__version__, "lightning": pytorch_lightning.__version__, "cuda": torch.version.cuda,
    "gpus": [torch.cuda.get_device_name(index) for index in range(count)],
}))
"""


def check_machine(devices: Sequence[str] = ("auto",)) -> Iterator[Check]:
    """`devices`: what the trials' execution.device is."""
    yield ok("python", f"{platform.python_version()}, {sys.executable}")
    torch, said = answer_of([sys.executable, "-c", PROGRAM])
    if torch is None:
        yield problem("torch", f"cannot be imported: {said}", "install segsuite into this Python again: see README.md")
        return
    yield ok("torch", f"{torch['torch']}, pytorch-lightning {torch['lightning']}, CUDA {torch['cuda'] or 'none'}")
    yield _gpus(len(visible_gpus(os.environ)), torch, devices)
    free = available_memory()
    here = f"{cores()} cores, {free / 2**30:.1f} GiB of memory free"
    if free < BYTES_PER_WORKER:
        yield warning("cores and memory", here, f"a trial of photographs needs {BYTES_PER_WORKER >> 30} GiB as a rule")
    else:
        yield ok("cores and memory", here)


def _gpus(listed: int, torch: dict[str, Any], devices: Sequence[str]) -> Check:
    seen = len(torch["gpus"])
    if seen:
        found = f"{seen}: {', '.join(dict.fromkeys(torch['gpus']))}"
        if listed == seen:
            return ok("GPU", found)
        return warning("GPU", f"{found}; nvidia-smi lists {listed}", "see CUDA_VISIBLE_DEVICES and `nvidia-smi -L`")
    if listed:
        advice = f"install a torch for this driver (see nvidia-smi); this one is for CUDA {torch['cuda'] or 'none'}"
        return problem("GPU", f"nvidia-smi lists {listed}, torch sees none", advice)
    if "cuda" in devices:
        return problem("GPU", "none, and the experiment has execution.device: cuda", "set execution.device: auto")
    return ok("GPU", "none: trials are computed on the CPU")


def answer_of(words: Sequence[str], seconds: float = SECONDS) -> tuple[dict[str, Any] | None, str]:
    """The JSON in the last line that a program prints, or None and why there is none."""
    environment = of_a_child({key: os.environ[key] for key in os.environ if key != "WANDB_SERVICE"})
    try:
        done = subprocess.run(
            list(words), capture_output=True, text=True, timeout=seconds, env=environment, check=False
        )
        if done.returncode == 0:
            value = json.loads(done.stdout.strip().splitlines()[-1])
            return (value, "") if isinstance(value, dict) else (None, "it gave no answer")
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError) as error:
        return None, str(error)[:200]
    return None, (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:200]
