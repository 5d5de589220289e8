"""Every upsampler and network computes under the types that CUDA's autocast gives."""

from typing import Any

import pytest
import torch

from segsuite.models import build_model
from segsuite.upsamplers import UPSAMPLERS, build_upsampler
from tests.cuda_autocast import cuda_autocast

NETWORKS: list[tuple[str, dict[str, Any]]] = [
    ("unet", {}),
    ("unet", {"attention": "scse", "dropout": 0.1}),
    ("unet", {"normalisation": "group"}),
    ("unet", {"normalisation": "layer"}),
    ("fcn", {}),
    ("deeplabv3", {}),
    ("deeplabv3plus", {}),
    *((f"smp/{name}", {}) for name in ("PSPNet", "FPN", "MAnet", "Linknet", "PAN", "UPerNet", "UnetPlusPlus")),
]


@pytest.mark.parametrize("name", UPSAMPLERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_types_of_an_upsampler_fit_together(name: str, dtype: torch.dtype) -> None:
    module = build_upsampler(name, 3, 5, 2, 4)
    x_NCHW, guide_NCHW = torch.randn(2, 3, 5, 7), torch.randn(2, 4, 10, 14)
    with cuda_autocast():
        y_NCHW = module(x_NCHW.to(dtype), guide=guide_NCHW.to(dtype))
    assert y_NCHW.isfinite().all()


@pytest.mark.parametrize(("name", "settings"), NETWORKS, ids=str)
def test_the_types_of_a_network_fit_together(name: str, settings: dict[str, Any]) -> None:
    network = build_model(name, 5, encoder="resnet18", **settings).eval()
    with cuda_autocast():
        logits_NCHW = network(torch.randint(0, 256, (2, 3, 96, 64), dtype=torch.uint8))
    assert logits_NCHW.isfinite().all()
