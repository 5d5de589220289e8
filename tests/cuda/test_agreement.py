"""What a GPU computes is what a CPU computes: upsamplers, networks, losses of enlarged logits, bf16."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.losses import build_loss
from segsuite.losses.full_resolution import LowLogits, build_fused_loss
from segsuite.models import build_model
from segsuite.upsamplers import UPSAMPLERS, build_upsampler

pytestmark = pytest.mark.cuda
NETWORKS: dict[str, dict[str, Any]] = {
    "unet": {"encoder": "resnet18"},
    "unet, lite0": {"encoder": "tf_efficientnet_lite0"},
    "fcn": {"encoder": "resnet18"},
    "deeplabv3": {"encoder": "resnet18"},
    "deeplabv3plus": {"encoder": "resnet18"},
}


@pytest.fixture(autouse=True)
def full_precision() -> Iterator[None]:
    """No TF32, which has three decimal digits."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def relative(found: Tensor, expected: Tensor) -> float:
    """Norm of the difference over the norm of what is expected."""
    difference = (found.detach().cpu().double() - expected.detach().cpu().double()).norm()
    return float(difference / expected.detach().cpu().double().norm().clamp_min(1e-12))


@pytest.mark.parametrize("name", UPSAMPLERS)
def test_an_upsampler_and_its_gradients_are_those_of_the_cpu(name: str) -> None:
    torch.manual_seed(0)
    module = build_upsampler(name, 8, 6, 2, 4)
    x, guide, slopes = torch.randn(2, 8, 9, 7), torch.randn(2, 4, 18, 14), torch.randn(2, 6, 18, 14)
    found = {}
    for device in ("cpu", "cuda"):
        module = module.to(device)
        given = x.to(device).requires_grad_()
        y = module(given, None, guide.to(device))
        gradients = torch.autograd.grad((y * slopes.to(device)).sum(), [given, *module.parameters()])
        found[device] = [y, *gradients]
    for on_cpu, on_cuda in zip(found["cpu"], found["cuda"], strict=True):
        assert relative(on_cuda, on_cpu) < 1e-4


@pytest.mark.parametrize("case", NETWORKS)
def test_a_network_and_its_gradient_are_those_of_the_cpu(case: str) -> None:
    torch.manual_seed(0)
    network = build_model(case.partition(",")[0], 5, **NETWORKS[case]).train()
    for module in network.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0  # which units it drops is another draw on each device
    images = torch.randint(0, 256, (2, 3, 67, 93), dtype=torch.uint8)
    labels = torch.randint(0, 5, (2, 67, 93), dtype=torch.uint8)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    found = {}
    for device in ("cpu", "cuda"):
        network.load_state_dict(state)
        network = network.to(device)
        network.zero_grad()
        logits = network(images.to(device))
        build_loss("cross_entropy").to(device)(logits, labels.to(device)).backward()
        norm = torch.nn.utils.get_total_norm([p.grad for p in network.parameters() if p.grad is not None])
        found[device] = logits, norm
    assert relative(found["cuda"][0], found["cpu"][0]) < 1e-3
    assert relative(found["cuda"][1], found["cpu"][1]) < 1e-2


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
def test_bilinear_interpolation_in_bf16_keeps_its_gradient(factor: int) -> None:
    """What a training of many pixels adds up: sums of thousands of small numbers must not be rounded one by one."""
    torch.manual_seed(0)
    module = build_upsampler("bilinear", 16, 16, factor).cuda()
    x = torch.randn(2, 16, 24, 30, device="cuda", dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    slopes = torch.rand(2, 16, 24 * factor, 30 * factor, device="cuda").bfloat16()
    x.requires_grad_()
    with torch.autocast("cuda", torch.bfloat16):
        y = module(x)
    (gradient,) = torch.autograd.grad(y, x, slopes.to(y.dtype))
    exact = x.detach().double().cpu().requires_grad_()
    reference = F.interpolate(exact, scale_factor=factor, mode="bilinear", align_corners=False)
    (expected,) = torch.autograd.grad(reference, exact, slopes.double().cpu())
    assert relative(gradient.float(), expected) < 5e-3


@pytest.mark.parametrize("name", ["cross_entropy", "dice", "focal"])
@pytest.mark.parametrize("factor", [4, 16])
def test_direct_and_fused_losses_of_bf16_logits_agree(name: str, factor: int) -> None:
    torch.manual_seed(0)
    low = torch.randn(2, 7, 24, 30, device="cuda").bfloat16().requires_grad_()
    labels = torch.randint(0, 7, (2, 24 * factor, 30 * factor), dtype=torch.uint8, device="cuda")
    size = (24 * factor, 30 * factor)
    exact = low.detach().double().cpu().requires_grad_()
    enlarged = F.interpolate(exact, size, mode="bilinear", align_corners=False)
    expected = build_loss(name)(enlarged, labels.cpu())
    (slope,) = torch.autograd.grad(expected, exact)
    with torch.autocast("cuda", torch.bfloat16):
        direct_logits = build_upsampler("bilinear", 7, 7, factor).cuda()(low)
    for value in (build_loss(name)(direct_logits, labels), build_fused_loss(name)(LowLogits(low, size), labels)):
        (found,) = torch.autograd.grad(value, low)
        assert float(value.detach()) == pytest.approx(float(expected.detach()), rel=5e-3)
        assert relative(found.float(), slope) < 1e-2
