"""segsuite.models.deeplabv3 is torchvision's deeplabv3_resnet50 when it gets its weights."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.segmentation import deeplabv3_resnet50

from segsuite.models import build_model
from segsuite.models.network import SegmentationNetwork

CLASSES = 5


def key_of_torchvision(key: str) -> str | None:
    """torchvision's name of a tensor in our network; None for what is ours alone: the preprocessing."""
    if not key.startswith("core."):
        return None
    parts = key.removeprefix("core.").replace("aspp.pooling.project", "aspp.pooling").split(".")
    match parts:
        case ["encoder", "body", *rest]:
            return ".".join(["backbone", *rest])
        case ["aspp", "point", *rest]:
            return ".".join(["classifier.0.convs.0", *rest])
        case ["aspp", "atrous", branch, *rest]:
            return ".".join([f"classifier.0.convs.{int(branch) + 1}", *rest])
        case ["aspp", "pooling", layer, *rest]:  # torchvision's layer 0 is the average
            return ".".join([f"classifier.0.convs.4.{int(layer) + 1}", *rest])
        case ["aspp", "project", "0", *rest]:
            return ".".join(["classifier.0.project", *rest])
        case ["head", layer, *rest]:
            return ".".join([f"classifier.{int(layer) + 1}", *rest])
        case ["classifier", *rest]:
            return ".".join(["classifier.4", *rest])
        case ["auxiliary", "0", *rest]:
            return ".".join(["aux_classifier", *rest])
        case ["auxiliary", "2", *rest]:
            return ".".join(["aux_classifier.4", *rest])
    raise AssertionError(f"{key} is unknown to torchvision")


@pytest.fixture(scope="module")
def pair() -> tuple[SegmentationNetwork, nn.Module]:
    """Our network and torchvision's with the same random weights, in float64, without dropout."""
    torch.manual_seed(0)
    reference = deeplabv3_resnet50(weights=None, weights_backbone=None, aux_loss=True, num_classes=CLASSES).double()
    for value in (*reference.parameters(), *reference.buffers()):
        if value.ndim == 1:  # biases and batch norms
            nn.init.uniform_(value, 0.5, 1.0)
    ours = build_model("deeplabv3", CLASSES, encoder="resnet50", output_stride=8, auxiliary_weight=0.5).double()
    theirs = reference.state_dict()
    keys = {key: key_of_torchvision(key) for key in ours.state_dict()}
    assert {key for key in keys.values() if key} == set(theirs)
    ours.load_state_dict({key: theirs[other] if other else ours.state_dict()[key] for key, other in keys.items()})
    for module in (*ours.modules(), *reference.modules()):
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return ours, reference


def normalised(network: SegmentationNetwork, images_NCHW: Tensor) -> Tensor:
    return images_NCHW * network.scale_1C11 + network.shift_1C11


@pytest.mark.parametrize("size", [(64, 96), (72, 88)])
def test_logits_equal_those_of_torchvision(pair: tuple[SegmentationNetwork, nn.Module], size: tuple[int, int]) -> None:
    ours, reference = (network.eval() for network in pair)
    images_NCHW = torch.rand(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        expected = reference(normalised(ours, images_NCHW))["out"]
        torch.testing.assert_close(ours(images_NCHW), expected, rtol=1e-9, atol=1e-9)


def test_logits_of_an_odd_size_equal_those_of_torchvision_for_the_padded_image(
    pair: tuple[SegmentationNetwork, nn.Module],
) -> None:
    # torchvision itself enlarges 9 x 11 features of a 65 x 83 image to exactly 65 x 83, by a factor below 8
    ours, reference = (network.eval() for network in pair)
    images_NCHW = torch.rand(1, 3, 65, 83, dtype=torch.float64)
    with torch.no_grad():
        expected = reference(F.pad(normalised(ours, images_NCHW), (0, 5, 0, 7)))["out"][..., :65, :83]
        torch.testing.assert_close(ours(images_NCHW), expected, rtol=1e-9, atol=1e-9)


def test_logits_of_both_heads_in_training_equal_those_of_torchvision(
    pair: tuple[SegmentationNetwork, nn.Module],
) -> None:
    ours, reference = (network.train() for network in pair)
    images_NCHW = torch.rand(2, 3, 64, 72, dtype=torch.float64)
    with torch.no_grad():
        expected = reference(normalised(ours, images_NCHW))
        torch.testing.assert_close(ours(images_NCHW), expected["out"], rtol=1e-7, atol=1e-7)
    auxiliary = ours.take_auxiliary_logits()
    assert auxiliary is not None
    torch.testing.assert_close(auxiliary, expected["aux"], rtol=1e-7, atol=1e-7)
