"""Which arithmetic and memory layout a training step of a U-Net should use on this CPU.

python benchmarks/precision.py [--rounds 5]
"auto" is what `precision: auto` takes here; "stock" is what a user writes who copies a tutorial.
"""

import argparse
import contextlib
from typing import Any

import torch
from timing import side_by_side, table

from segsuite.losses import build_loss
from segsuite.models import build_model
from segsuite.train.depthwise import Fp32DepthwiseBackward
from segsuite.train.precision import cpu_multiplies_bf16, resolve_precision

ENCODERS = ("tf_efficientnet_lite0", "resnet18", "mobilenet_v2")


def step(encoder: str, bf16: bool, channels_last: bool, depthwise: bool) -> Any:
    torch.manual_seed(0)
    model = build_model("unet", 11, encoder=encoder).train()
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    images = torch.rand(4, 3, 256, 320)
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 11, (4, 256, 320))
    loss = build_loss("cross_entropy")
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)

    def run() -> None:
        mode = Fp32DepthwiseBackward() if depthwise else contextlib.nullcontext()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16), mode:
            logits = model(images)
        optimizer.zero_grad()
        loss(logits, labels).backward()
        optimizer.step()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(f"bf16 in hardware: {cpu_multiplies_bf16()}; auto: {resolve_precision('auto', 'cpu')}; batch 4 x 256 x 320")
    for encoder in ENCODERS:
        functions = {
            "stock: fp32, NCHW": step(encoder, False, False, False),
            "fp32, channels_last": step(encoder, False, True, False),
            "bf16, NCHW": step(encoder, True, False, False),
            "bf16, channels_last": step(encoder, True, True, False),
            "bf16, channels_last, depthwise backward fp32": step(encoder, True, True, True),
        }
        print(f"\nU-Net on {encoder}\n{table(side_by_side(functions, rounds), 'stock: fp32, NCHW')}")


if __name__ == "__main__":
    main()
