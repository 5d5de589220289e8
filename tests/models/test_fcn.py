"""segsuite.models.fcn: the network of the paper, value by value, and the plain one; what each variant takes."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from segsuite.config import FcnModel, validate
from segsuite.encoders import build_encoder, pools_stages
from segsuite.encoders.library import Encoder
from segsuite.errors import ConfigError
from segsuite.models import build_model
from segsuite.models.fcn import PlainFCN, SkipFCN
from segsuite.models.network import Seam, SegmentationNetwork
from tests.contracts.cores import CHANNELS, CLASSES, encoder

Array = NDArray[np.float64]


def fcn(seed: int = 0, **settings: Any) -> SegmentationNetwork:
    torch.manual_seed(seed)
    return build_model("fcn", 5, **settings)


def paper(finest_stride: int, head_channels: int | None = None) -> SkipFCN:
    """As the paper has it, but with every score layer away from zero, so that each of them shows."""
    torch.manual_seed(0)
    learned = {"name": "transposed_k2s", "init": "bilinear"}
    core = SkipFCN(encoder(), CLASSES, finest_stride, learned, "transposed_bilinear", head_channels)
    for score in core.scores:
        nn.init.normal_(score.weight)
        nn.init.normal_(score.bias)
    return core.eval()


def scored(feature: Any, score: Any) -> Array:
    """A 1x1 convolution, (H, W, C) -> (H, W, classes)."""
    weight_OC = score.weight.detach().double().numpy()[:, :, 0, 0]
    return feature[0].detach().double().permute(1, 2, 0).numpy() @ weight_OC.T + score.bias.detach().double().numpy()


def upscored(scores_HWC: Array, factor: int) -> Array:
    """Deconvolution with the bilinear kernel of the authors' surgery.py: size 2 s, one channel onto itself, here with
    s / 2 pixels cut on every side so that the output has s times the size."""
    size, half = 2 * factor, (2 * factor + 1) // 2
    centre = half - 0.5
    axis = 1 - np.abs(np.arange(size) - centre) / half
    height, width, classes = scores_HWC.shape
    painted = np.zeros(((height + 1) * factor, (width + 1) * factor, classes))
    for row in range(height):
        for column in range(width):
            patch = np.outer(axis, axis)[:, :, None] * scores_HWC[row, column]
            painted[row * factor : row * factor + size, column * factor : column * factor + size] += patch
    cut = factor // 2
    return painted[cut : cut + height * factor, cut : cut + width * factor]


@pytest.mark.parametrize("finest_stride", [32, 16, 8])
def test_logits_are_those_of_the_network_of_the_paper(finest_stride: int) -> None:
    core = paper(finest_stride)
    image_NCHW = torch.rand(1, 3, 64, 96)
    features = core.encoder(image_NCHW)
    expected = scored(features[4], core.scores[0])
    if finest_stride <= 16:
        expected = upscored(expected, 2) + scored(features[3], core.scores[1])
    if finest_stride <= 8:
        expected = upscored(expected, 2) + scored(features[2], core.scores[2])
    expected = upscored(expected, finest_stride)
    logits_HWC = core(image_NCHW)[0].detach().permute(1, 2, 0)
    torch.testing.assert_close(logits_HWC.double(), torch.from_numpy(expected), rtol=1e-5, atol=1e-5)


def pools(encoder: Encoder, image_NCHW: Tensor) -> list[Tensor]:
    """pool1 to pool5 of a VGG, layer by layer."""
    found, y_NCHW = [], image_NCHW
    features = encoder.body.features
    assert isinstance(features, nn.Sequential)
    for layer in features:
        y_NCHW = layer(y_NCHW)
        if isinstance(layer, nn.MaxPool2d):
            found.append(y_NCHW.clone())  # the ReLUs overwrite what they get
    return found


@pytest.mark.parametrize("finest_stride", [16, 8])
def test_of_a_vgg_pool3_and_pool4_are_scored_as_in_the_paper(finest_stride: int) -> None:
    torch.manual_seed(0)
    learned = {"name": "transposed_k2s", "init": "bilinear"}
    vgg = build_encoder("vgg11_bn")
    core = SkipFCN(vgg, CLASSES, finest_stride, learned, "transposed_bilinear").eval()
    for score in core.scores:
        nn.init.normal_(score.weight)  # type: ignore[arg-type]  # a convolution
    image_NCHW = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        _, _, pool3, pool4, pool5 = pools(vgg, image_NCHW)
        expected = upscored(scored(pool5, core.scores[0]), 2) + scored(pool4, core.scores[1])
        if finest_stride == 8:
            expected = upscored(expected, 2) + scored(pool3, core.scores[2])
        logits_HWC = core(image_NCHW)[0].permute(1, 2, 0)
    expected = upscored(expected, finest_stride)
    torch.testing.assert_close(logits_HWC.double(), torch.from_numpy(expected), rtol=1e-4, atol=1e-4)


def test_fcn_8s_on_vgg16_has_the_parameters_of_the_paper() -> None:
    """Convolutions of VGG-16 and fc6, fc7; scores of fc7, pool4, pool3; two kernels of 4 x 4 by classes."""
    with torch.device("meta"):  # 134 million values are drawn for nothing
        core = SkipFCN(build_encoder("vgg16"), 21, 8, "transposed_k2s", "transposed_bilinear", 4096)
    classifier = (512 * 49 + 1) * 4096 + (4096 + 1) * 4096
    scores = (4096 + 1 + 512 + 1 + 256 + 1) * 21
    enlargements = 2 * (16 * 21 + 1) * 21
    found = sum(parameter.numel() for parameter in core.parameters())
    assert found == 14_714_688 + classifier + scores + enlargements == 134_376_905


@pytest.mark.parametrize("name", ["vgg11", "vgg11_bn", "tu-vgg11", "resnet18", "repvgg_a0", "tu-darknet17"])
def test_stages_end_in_a_pooling_where_the_last_feature_is_the_pooled_one_before(name: str) -> None:
    features = build_encoder(name).eval()(torch.rand(1, 3, 64, 64))
    same_width = features[-1].shape[1] == features[-2].shape[1]
    assert pools_stages(name) == (same_width and torch.equal(F.max_pool2d(features[-2], 2), features[-1]))


def test_enlargements_by_two_are_learned_and_the_last_one_is_fixed_by_default() -> None:
    core = fcn().core
    assert isinstance(core, SkipFCN)
    assert all(p.requires_grad for p in core.upsamplers.parameters())
    assert [type(upsampler).__name__ for upsampler in core.upsamplers] == ["TransposedK2S"] * 2
    assert list(core.last_upsampler.parameters()) == []


def test_another_upsampler_is_used_in_the_last_seam_too() -> None:
    core = fcn(upsampler="carafe").core
    kinds = [type(upsampler).__name__ for upsampler in (*core.upsamplers, core.last_upsampler)]  # type: ignore[misc]
    assert kinds == ["Carafe"] * 3


def test_last_upsampler_changes_the_last_seam_only() -> None:
    core = fcn(upsampler="carafe", last_upsampler="bilinear").core
    kinds = [type(upsampler).__name__ for upsampler in (*core.upsamplers, core.last_upsampler)]  # type: ignore[misc]
    assert kinds == ["Carafe", "Carafe", "Bilinear"]


def test_a_fresh_network_predicts_as_if_it_had_no_skips() -> None:
    torch.manual_seed(0)
    core = SkipFCN(encoder(), CLASSES, 8, "bilinear_conv", "bilinear")
    image_NCHW = torch.rand(1, 3, 64, 96)
    features = core.encoder(image_NCHW)
    others = [torch.rand_like(feature) for feature in features[:-1]] + [features[-1]]
    assert torch.equal(core.decode(others, image_NCHW), core.decode(features, image_NCHW))


def test_head_channels_add_the_two_convolutions_of_the_classifier_with_dropout() -> None:
    without, with_head = fcn(), fcn(head_channels=24)
    added = sum(p.numel() for p in with_head.parameters()) - sum(p.numel() for p in without.parameters())
    # fc6 7x7, fc7 1x1, and the coarsest scores of 24 instead of 512 features
    assert added == (512 * 49 * 24 + 24) + (24 * 24 + 24) + 5 * (24 - 512)
    assert [m.p for m in with_head.modules() if isinstance(m, nn.Dropout)] == [0.5, 0.5]


def test_seams_of_the_variants() -> None:
    assert fcn(variant="32s").seams() == [Seam("core.last_upsampler", 32, 1, 5, 5)]
    assert fcn(variant="16s").seams() == [
        Seam("core.upsamplers.0", 32, 16, 5, 5),
        Seam("core.last_upsampler", 16, 1, 5, 5),
    ]
    assert fcn(variant="8s").seams() == [
        Seam("core.upsamplers.0", 32, 16, 5, 5),
        Seam("core.upsamplers.1", 16, 8, 5, 5),
        Seam("core.last_upsampler", 8, 1, 5, 5),
    ]
    assert fcn(variant="plain").seams() == [
        Seam("core.steps.0.upsampler", 8, 4, 128, 64),
        Seam("core.steps.1.upsampler", 4, 2, 64, 32),
        Seam("core.steps.2.upsampler", 2, 1, 32, 16),
    ]


@pytest.mark.parametrize(("stride", "count"), [(8, 3), (16, 4), (32, 5)])
def test_plain_has_one_step_a_halving_as_wide_as_the_u_net(stride: int, count: int) -> None:
    network = fcn(variant="plain", stride=stride)
    assert [seam.out_channels for seam in network.seams()] == [256, 128, 64, 32, 16][-count:]
    assert network.stride == stride


@pytest.mark.parametrize("settings", [{"variant": "8s"}, {"variant": "32s", "head_channels": 8}, {"variant": "plain"}])
def test_every_parameter_gets_a_gradient(settings: dict[str, Any]) -> None:
    network = fcn(**settings)
    loss = F.cross_entropy(network(torch.rand(2, 3, 64, 64)), torch.randint(0, 5, (2, 64, 64)))
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize("variant", ["32s", "16s", "8s", "plain"])
def test_logits_of_a_fresh_network_are_of_order_one(variant: str) -> None:
    logits_NCHW = fcn(variant=variant)(torch.rand(2, 3, 64, 64))
    assert 0.1 < logits_NCHW.std().item() < 5


def test_plain_step_is_upsampler_then_batch_norm_then_relu() -> None:
    torch.manual_seed(0)
    core = PlainFCN(encoder(3), CLASSES, "nearest_conv", (6, 5, 4)).eval()
    image_NCHW = torch.rand(1, 3, 16, 24)
    y_NCHW = core.encoder(image_NCHW)[-1]
    assert y_NCHW.shape[1] == CHANNELS[2]
    for step in core.steps:
        conv, norm = step.upsampler.steps[0][1], step.norm
        y_NCHW = F.conv2d(y_NCHW.repeat_interleave(2, 2).repeat_interleave(2, 3), conv.weight, conv.bias, padding=1)
        spread = (norm.running_var + norm.eps).sqrt()
        y_NCHW = (
            ((y_NCHW.movedim(1, -1) - norm.running_mean) / spread * norm.weight + norm.bias).movedim(-1, 1).clamp(0)
        )
    y_NCHW = F.conv2d(y_NCHW, core.head.weight, core.head.bias)
    torch.testing.assert_close(core(image_NCHW), y_NCHW)


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"variant": "8s", "decoder_channels": (64, 32, 16)}, r"'8s', which has no decoder_channels, .* is \[64, 32, 16\]"),
    ({"variant": "16s", "stride": 16}, "'16s', which has no stride, but stride is 16"),
    ({"variant": "8s", "match": "parameters"}, "'8s', which has no match, but match is 'parameters'"),
    ({"variant": "plain", "head_channels": 64}, "'plain', which has no head_channels, but head_channels is 64"),
    ({"variant": "plain", "last_upsampler": "bilinear"}, "'plain', which has no last_upsampler, .* is 'bilinear'"),
    ({"variant": "32s", "last_upsampler": "bilinear"}, "'32s', which has no last_upsampler, .* is 'bilinear'"),
    ({"variant": "plain", "decoder_channels": (8, 8, 8, 8)}, r"\[8, 8, 8, 8\] has 4 widths, but stride 8 needs 3"),
]


@pytest.mark.parametrize(("settings", "message"), CONTRADICTIONS)
def test_settings_that_contradict_the_variant_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fcn(**settings)


@pytest.mark.parametrize(("settings", "message"), CONTRADICTIONS)
def test_they_are_refused_in_the_file_already(settings: dict[str, Any], message: str) -> None:
    listed = {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
    with pytest.raises(ConfigError, match=f"model: .*{message}.*: (leave|give)"):
        validate({"data": {"name": "shapes"}, "model": {"name": "fcn", **listed}}, str)


def test_match_to_without_match_is_refused() -> None:
    with pytest.raises(ConfigError, match="match is 'none', so match_to, which is carafe, changes nothing"):
        validate({"data": {"name": "shapes"}, "model": {"name": "fcn", "variant": "plain", "match_to": "carafe"}}, str)


def test_defaults_of_the_settings_are_those_of_the_builder() -> None:
    import inspect

    from segsuite.models.fcn import build_fcn

    given = {name: p.default for name, p in inspect.signature(build_fcn).parameters.items() if name != "num_classes"}
    del given["name"]
    assert given == {name: field.default for name, field in FcnModel.model_fields.items() if name != "name"}


def test_an_unknown_variant_gets_the_valid_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown variant '4s'; .*16s, 32s, 8s, plain"):
        fcn(variant="4s")
