"""segsuite.encoders.cut: the first stages of an encoder, and nothing of the others."""

import pytest
import torch

from segsuite.encoders import ENCODERS, build_encoder
from segsuite.encoders.cut import cut
from segsuite.encoders.library import Encoder
from segsuite.errors import ConfigError

# they run side by side (HRNet), or give a feature from within a block (Xception)
NOT_AT_STRIDE_8 = ("hrnet_w18", "hrnet_w18_small", "xception41", "xception65")
QUICK = ("resnet18", "tf_efficientnet_lite0", "convnext_atto", "efficientnet-b0")
OTHER_FAMILIES = (
    "tv-alexnet", "tv-googlenet", "tv-shufflenet_v2_x0_5", "tv-squeezenet1_1",
    "vgg11", "densenet121", "inceptionv4", "xception", "mobilenet_v2", "mit_b0",
)  # fmt: skip
NAMES = [
    pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow])
    for names in ENCODERS.values()
    for name in names
    if name not in NOT_AT_STRIDE_8
    # one of each family of smp's, and all of timm's common ones
    and (names is ENCODERS["timm"] or name in QUICK or name in OTHER_FAMILIES)
]


def loaded(name: str) -> Encoder:
    torch.manual_seed(0)
    return build_encoder(name).eval()


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("name", NAMES)
def test_features_are_the_first_ones_of_the_whole_encoder(name: str, stride: int) -> None:
    whole = loaded(name)
    part = cut(whole, stride).eval()
    image_NCHW = torch.rand(1, 3, 96, 128)
    with torch.no_grad():
        features, expected = part(image_NCHW), whole(image_NCHW)
    assert part.strides == tuple(s for s in whole.strides if s <= stride)
    assert part.channels == whole.channels[: len(part.strides)]
    assert all(torch.equal(a, b) for a, b in zip(features, expected[: len(features)], strict=True))
    assert len(features) == len(part.strides)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_that_is_left_is_used(name: str) -> None:
    part = cut(loaded(name), 8)
    sum(feature.sum() for feature in part(torch.rand(1, 3, 96, 128))).backward()
    assert [key for key, p in part.named_parameters() if p.grad is None] == []


def test_parameters_of_resnet18_cut_at_stride_8() -> None:
    # stem 3*64*49 + 2*64; two blocks of 64; one block of 64 -> 128 with a 1x1 shortcut, one of 128; 2 a norm channel
    block = 2 * (64 * 64 * 9 + 2 * 64)
    down = 64 * 128 * 9 + 128 * 128 * 9 + 64 * 128 + 3 * 2 * 128
    expected = 3 * 64 * 49 + 2 * 64 + 2 * block + down + 2 * (128 * 128 * 9 + 2 * 128)
    assert sum(p.numel() for p in cut(loaded("resnet18"), 8).parameters()) == expected


def test_cutting_moves_neither_the_generator_nor_the_whole_encoder() -> None:
    whole = loaded("tf_efficientnet_lite0")
    before, state = {k: v.clone() for k, v in whole.state_dict().items()}, torch.get_rng_state()
    cut(whole, 8)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in whole.state_dict().items())


def test_cutting_at_the_last_stride_gives_the_encoder_itself() -> None:
    whole = loaded("resnet18")
    assert cut(whole, 32) is whole


def test_preprocessing_and_the_name_of_the_weights_stay() -> None:
    whole = loaded("resnet18")
    whole.mean, whole.std, whole.weights = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "somewhere.pth"
    part = cut(whole, 16)
    assert (part.name, part.mean, part.std, part.weights) == ("resnet18", whole.mean, whole.std, "somewhere.pth")


def test_a_stride_without_a_feature_is_refused() -> None:
    with pytest.raises(ConfigError, match="'convnext_atto' has no feature of stride 2") as error:
        cut(loaded("convnext_atto"), 2)
    assert "4, 8, 16, 32" in error.value.advice


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) for name in NOT_AT_STRIDE_8])
def test_an_encoder_that_cannot_be_cut_says_so(name: str) -> None:
    with pytest.raises(ConfigError, match="does not run without its later stages"):
        cut(loaded(name), 8)
