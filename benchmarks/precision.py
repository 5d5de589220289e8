"""Which arithmetic and memory layout a training step of a U-Net should use on this CPU.

"auto" is what `precision: auto` takes here; "stock" is what a user writes who copies a tutorial.
"""

import contextlib
from typing import Any

import timing
import torch

from segsuite.losses import build_loss
from segsuite.models import build_model
from segsuite.train.fp32_backward import Fp32Backward
from segsuite.train.precision import cpu_multiplies_bf16, resolve_precision

ENCODERS = ("tf_efficientnet_lite0", "resnet18", "mobilenet_v2")


def step(shape: tuple[int, int, int], encoder: str, bf16: bool, channels_last: bool, depthwise: bool) -> Any:
    torch.manual_seed(0)
    model = build_model("unet", 11, encoder=encoder).train()
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    batch, *size = shape
    images = torch.rand(batch, 3, *size)
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 11, shape)
    loss = build_loss("cross_entropy")
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)

    def run() -> None:
        mode = Fp32Backward() if depthwise else contextlib.nullcontext()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16), mode:
            logits = model(images)
        optimizer.zero_grad()
        loss(logits, labels).backward()
        optimizer.step()

    return run


def main() -> None:
    options = timing.options_of(__doc__, 5, torch.get_num_threads()).parse_args()
    torch.set_num_threads(options.threads)
    shape = (2, 32, 32) if options.small else (4, 256, 320)
    seconds: dict[str, dict[str, list[float]]] = {}
    for encoder in ENCODERS[1:2] if options.small else ENCODERS:
        timing.told(encoder)
        functions = {
            "stock: fp32, NCHW": step(shape, encoder, False, False, False),
            "fp32, channels_last": step(shape, encoder, False, True, False),
            "bf16, NCHW": step(shape, encoder, True, False, False),
            "bf16, channels_last": step(shape, encoder, True, True, False),
            "bf16, channels_last, depthwise backward fp32": step(shape, encoder, True, True, True),
        }
        seconds[f"U-Net on {encoder}"] = timing.in_milliseconds(timing.side_by_side(functions, options.rounds))
    notes = [f"bf16 in hardware: {cpu_multiplies_bf16()}; auto: {resolve_precision('auto', 'cpu')}"]
    title = f"A training step of {' x '.join(map(str, shape))} pixels"
    table = timing.Table(title, timing.MILLISECONDS, "stock: fp32, NCHW", seconds)
    timing.show("precision", options, [table], notes)


if __name__ == "__main__":
    main()
