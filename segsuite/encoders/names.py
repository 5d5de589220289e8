"""The names of encoders, so that they can be checked on a login node without importing torch.

SMP_NATIVE are the names of segmentation-models-pytorch 0.6.0 (its `timm-` names are old copies of what `tu-`
gives); TIMM_COMMON are timm names that may be written without the prefix `tu-`. Any other timm model is
`tu-<timm name>`. TORCHVISION are backbones that neither has. What is proved of which is in table.py.
"""

import difflib
import re
from collections.abc import Sequence

from segsuite.encoders.table import TABLE, row_of, with_output_stride
from segsuite.errors import ConfigError, unknown_name

SMP_NATIVE: tuple[str, ...] = (
    "densenet121", "densenet161", "densenet169", "densenet201",
    "dpn107", "dpn131", "dpn68", "dpn68b", "dpn92", "dpn98",
    "efficientnet-b0", "efficientnet-b1", "efficientnet-b2", "efficientnet-b3",
    "efficientnet-b4", "efficientnet-b5", "efficientnet-b6", "efficientnet-b7",
    "inceptionresnetv2", "inceptionv4",
    "mit_b0", "mit_b1", "mit_b2", "mit_b3", "mit_b4", "mit_b5",
    "mobilenet_v2", "mobileone_s0", "mobileone_s1", "mobileone_s2", "mobileone_s3", "mobileone_s4",
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "resnext50_32x4d", "resnext101_32x4d", "resnext101_32x8d",
    "resnext101_32x16d", "resnext101_32x32d", "resnext101_32x48d",
    "se_resnet50", "se_resnet101", "se_resnet152", "se_resnext50_32x4d", "se_resnext101_32x4d", "senet154",
    "timm-efficientnet-b0", "timm-efficientnet-b1", "timm-efficientnet-b2", "timm-efficientnet-b3",
    "timm-efficientnet-b4", "timm-efficientnet-b5", "timm-efficientnet-b6", "timm-efficientnet-b7",
    "timm-efficientnet-b8", "timm-efficientnet-l2",
    "timm-skresnet18", "timm-skresnet34", "timm-skresnext50_32x4d",
    "timm-tf_efficientnet_lite0", "timm-tf_efficientnet_lite1", "timm-tf_efficientnet_lite2",
    "timm-tf_efficientnet_lite3", "timm-tf_efficientnet_lite4",
    "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
    "xception",
)  # fmt: skip

TIMM_COMMON: tuple[str, ...] = (
    "tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2",
    "tf_efficientnet_lite3", "tf_efficientnet_lite4",
    "efficientnet_b0", "efficientnet_b1", "tf_efficientnetv2_b0", "tf_efficientnetv2_s",
    "mobilenetv1_100", "mobilenetv2_100", "mobilenetv3_small_100", "mobilenetv3_large_100",
    "mobilenetv4_conv_small",
    "mnasnet_100", "ghostnet_100", "repvgg_a0", "regnetx_002", "regnety_002", "regnety_004",
    "resnet18d", "resnet26d", "resnet34d", "resnet50d", "res2net50_26w_4s", "resnest50d", "seresnet50",
    "skresnet18", "skresnet34",
    "xception41", "xception65", "hrnet_w18_small", "hrnet_w18", "dla34",
    "convnext_atto", "convnext_nano", "convnext_tiny", "convnext_small", "convnextv2_tiny", "pvt_v2_b0",
)  # fmt: skip

TORCHVISION: tuple[str, ...] = tuple(name for name, row in TABLE.items() if row.library == "torchvision")

# Families whose strides can be replaced by dilation exactly (dilation.py says what that means, and
# tests/encoders/test_dilation.py proves it on members of each), as regular expressions of the name without `tu-`,
# `timm-` and timm's `.tag`. Not among them: attention over the whole image (MiT, PVT), branches of several strides
# (HRNet), and unpadded Inceptions.
DILATABLE: tuple[str, ...] = (
    r"convnext(v2)?_(atto|femto|pico|nano|tiny|small|base|large)",
    r"cs(presnet|pdarknet)\d+", r"darknet53",
    r"densenet\d+", r"dla34", r"dpn\d+b?",
    r"(tf_)?efficientnet(v2)?[-_](lite\d|b\d|s|m|l|xl|l2)",
    r"ghostnet_\d+", r"inception(v4|resnetv2)", r"mnasnet_\d+",
    r"mobilenet_v2", r"mobilenetv[12]_\d+d?", r"(tf_)?mobilenetv3_(small|large)_\d+",
    r"mobilenetv4_conv_(small|medium|large)", r"mobileone_s\d",
    r"regnet[xy]_\d+", r"repvgg_[ab]\d",
    r"res2net\d+_\d+w_\ds", r"resnest\d+d",
    r"(se_?|sk|wide_)?resnet\d+d?(_2)?", r"(se_?|sk)?resnext\d+_\d+x\d+d", r"senet154",
    r"vgg\d+(_bn)?", r"(ese_)?vovnet\d+[ab](_dw)?", r"xception(41|65|71)?",
)  # fmt: skip

# ResNets by their depth -> residual blocks of the last stage, which multi_grid gives rates.
LAST_BLOCKS = {"10": 1, "14": 1, "18": 2, "26": 2, "34": 3, "50": 3, "101": 3, "152": 3, "200": 3}
_RESNET = re.compile(r"(?:se_?|sk|wide_)?resnex?t(\d+)(?:d|_2|_\d+x\d+d)?")
_TIMM_NAME = re.compile(r"tu-[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)?")


def canonical_name(name: str) -> str:
    """The name that smp knows: a native one as it is, a common timm one with `tu-` before it; torchvision's stay.

    >>> canonical_name("resnet18"), canonical_name("tf_efficientnet_lite0")
    ('resnet18', 'tu-tf_efficientnet_lite0')
    """
    check_encoder_name(name)
    return f"tu-{name}" if name in TIMM_COMMON else name


def check_encoder_name(name: str) -> None:
    """Raises ConfigError with the nearest valid name; that `tu-<name>` is a timm model is checked when it is
    built."""
    if name in SMP_NATIVE + TIMM_COMMON + TORCHVISION or _TIMM_NAME.fullmatch(name):
        return
    raise ConfigError(
        unknown_name("encoder", name, SMP_NATIVE + TIMM_COMMON + TORCHVISION),
        advice="take a valid name (`segsuite encoders` lists those that are proved), or tu-<name> for any other timm "
        "model",
    )


def dilatable(name: str) -> bool:
    """Whether build_encoder can give `name` an output stride of 8 or 16.

    >>> dilatable("resnet50"), dilatable("tu-resnet50.a1_in1k"), dilatable("mit_b0")
    (True, True, False)
    """
    row = row_of(name)
    return 8 in row.output_strides if row else any(re.fullmatch(pattern, _family(name)) for pattern in DILATABLE)


def check_dilatable(name: str) -> None:
    """Raises ConfigError that names the encoders with dilation unless `name` is one of them."""
    if dilatable(name):
        return
    near = difflib.get_close_matches(name, [known for known in SMP_NATIVE + TIMM_COMMON if dilatable(known)], n=3)
    known = dict.fromkeys([*near, *with_output_stride(8)])
    raise ConfigError(
        f"the strides of encoder '{name}' cannot be replaced by dilation",
        advice=f"take output_stride: 32, or an encoder with dilation: {', '.join(known)}",
    )


def check_output_stride(name: str, output_stride: int) -> None:
    """Raises ConfigError that names encoders unless the last feature of `name` can have that stride."""
    if output_stride not in (8, 16, 32):
        raise ConfigError(f"output stride {output_stride} is none of 8, 16, 32", "model.output_stride", "take 16")
    if output_stride < 32:
        check_dilatable(name)
    row = row_of(name)
    if row and output_stride not in row.output_strides:
        own = " or ".join(map(str, row.output_strides))
        raise ConfigError(
            f"encoder '{name}' has no features of stride {output_stride}",
            "model.output_stride",
            f"take {own}, or an encoder that has them: {', '.join(with_output_stride(output_stride))}",
        )


def check_features(name: str, stride: int) -> None:
    """Raises ConfigError unless `name` has features of that stride without dilation; names outside the table pass."""
    row = row_of(name)
    if row and stride not in row.strides:
        having = [other for other, of_other in TABLE.items() if stride in of_other.strides]
        raise ConfigError(
            f"encoder '{name}' has no features of stride {stride}",
            "model.encoder",
            f"take one that has them: {', '.join(having)}",
        )


def pools_stages(name: str) -> bool:
    """Whether `name` reduces its features by a 2x2 pooling behind each of them and by nothing else: a VGG. Its last
    feature is the pooled one before.

    >>> pools_stages("vgg16_bn"), pools_stages("tu-vgg16.tv_in1k"), pools_stages("repvgg_a0"), pools_stages("resnet18")
    (True, True, False, False)
    """
    return re.fullmatch(r"vgg\d+(_bn)?", _family(name)) is not None


def check_multi_grid(name: str, multi_grid: Sequence[int]) -> None:
    """Raises ConfigError unless `name` is a ResNet with as many blocks in its last stage as `multi_grid` has rates,
    each at least 1."""
    resnet = _RESNET.fullmatch(_family(name))
    blocks = LAST_BLOCKS.get(resnet[1], 0) if resnet else 0
    if not blocks:
        raise ConfigError(
            f"multi_grid is defined for ResNets, which encoder '{name}' is not", advice="leave multi_grid out"
        )
    if len(multi_grid) != blocks or min(multi_grid) < 1:
        raise ConfigError(
            f"multi_grid is {list(multi_grid)}, the last stage of encoder '{name}' has {blocks} blocks",
            advice="give one rate of at least 1 a block",
        )


def _family(name: str) -> str:
    return name.removeprefix("tu-").removeprefix("timm-").partition(".")[0]
