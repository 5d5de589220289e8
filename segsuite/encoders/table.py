"""What each encoder can do, proved: the rows below are tested one by one (tests/encoders/).

Each row is in a U-Net and an FCN, forward and backward, at 64 x 64 and 67 x 93 pixels, and one member of each family in
DeepLabV3 at every output stride that its row has. Other names of segmentation-models-pytorch and timm can be taken
too; what is not in the table is not proved. This module imports no torch.
"""

import math
from typing import Literal, NamedTuple

TORCHVISION_FILES = "https://download.pytorch.org/models/"
Library = Literal["smp", "timm", "torchvision"]


class Row(NamedTuple):
    """One encoder, its features fine to coarse, and its ImageNet weights."""

    family: str
    library: Library
    """Whose network and weights it is: segmentation-models-pytorch, timm or torchvision."""
    strides: tuple[int, ...]
    """Input pixels from one value of each feature to the next."""
    channels: tuple[int, ...]
    """Of each feature."""
    output_strides: tuple[int, ...]
    """Strides that its last feature can have: its own, and smaller ones by dilation."""
    source: str
    """Where `weights: imagenet` is downloaded from: a repository of huggingface.co (its model.safetensors), or a file
    of download.pytorch.org."""
    licence: str
    """Of the weights, as their source states it."""
    mean_std: Literal["imagenet", "half"]
    """What the weights expect: images less ImageNet's mean, by its standard deviation; or less 0.5, by 0.5."""
    sizes: Literal["ceil", "floor", "multiple"]
    """Feature sizes of an image that is no multiple of the last stride: ceil(size / stride), floor(size / stride), or
    neither. A multiple gives size / stride with all encoders; the suite's networks pad to one and cut their logits."""
    offsets: tuple[float, ...]
    """Pixels of the image from the centre of the cell of a feature, stride * (i + 1/2), to the centre of what the
    feature sees; the same vertically. -(stride - 1) / 2 is that of a ResNet, which sees evenly about the first pixel
    of the cell; always less than half a stride."""

    @property
    def url(self) -> str:
        """The file with the weights."""
        if self.library == "torchvision":
            return TORCHVISION_FILES + self.source
        return f"https://huggingface.co/{self.source}/resolve/main/model.safetensors"

    def size(self, pixels: int, stride: int) -> int | None:
        """Of the feature of `stride`, of an image of `pixels`; None when it is not known.

        >>> TABLE["resnet18"].size(67, 8), TABLE["vgg11"].size(67, 8), TABLE["densenet121"].size(67, 8)
        (9, 8, None)
        """
        if pixels % self.strides[-1] == 0 or self.sizes == "floor":
            return pixels // stride
        return math.ceil(pixels / stride) if self.sizes == "ceil" else None


FROM_1, FROM_2, FROM_4 = (1, 2, 4, 8, 16, 32), (2, 4, 8, 16, 32), (4, 8, 16, 32)
DILATES = (8, 16, 32)
APACHE = "Apache-2.0"
OTHER = "other"
NOT_STATED = "not stated"
NVIDIA = "other (NVIDIA: research only)"
IMAGENET: Literal["imagenet"] = "imagenet"
HALF: Literal["half"] = "half"
LEFT, RIGHT = (-0.5, -1.5, -3.5, -7.5, -15.5), (0.5, 1.5, 3.5, 7.5, 15.5)

TABLE: dict[str, Row] = {
    "tv-alexnet": Row(
        "AlexNet", "torchvision", FROM_4, (64, 192, 256, 256), DILATES,
        "alexnet-owt-7be5be79.pth", NOT_STATED, IMAGENET, "ceil", (-1.5, -3.5, -7.5, -15.5),
    ),
    "vgg11": Row(
        "VGG", "smp", FROM_1, (64, 128, 256, 512, 512, 512), DILATES,
        "smp-hub/vgg11.imagenet", OTHER, IMAGENET, "floor", (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    ),
    "vgg16": Row(
        "VGG", "smp", FROM_1, (64, 128, 256, 512, 512, 512), DILATES,
        "smp-hub/vgg16.imagenet", OTHER, IMAGENET, "floor", (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    ),
    "vgg16_bn": Row(
        "VGG", "smp", FROM_1, (64, 128, 256, 512, 512, 512), DILATES,
        "smp-hub/vgg16_bn.imagenet", OTHER, IMAGENET, "floor", (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    ),
    "tv-googlenet": Row(
        "GoogLeNet", "torchvision", FROM_2, (64, 192, 480, 832, 1024), DILATES,
        "googlenet-1378be20.pth", NOT_STATED, HALF, "multiple", (-0.5, 0.5, 2.5, 6.5, 6.5),
    ),
    "tv-inception_v3": Row(
        "Inception", "torchvision", FROM_2, (64, 192, 288, 768, 2048), DILATES,
        "inception_v3_google-0cc3c7bd.pth", NOT_STATED, HALF, "ceil", LEFT,
    ),
    "inceptionv4": Row(
        "Inception", "smp", FROM_2, (64, 192, 384, 1024, 1536), DILATES,
        "smp-hub/inceptionv4.imagenet", OTHER, HALF, "ceil", LEFT,
    ),
    "resnet18": Row(
        "ResNet", "smp", FROM_2, (64, 64, 128, 256, 512), DILATES,
        "smp-hub/resnet18.imagenet", OTHER, IMAGENET, "ceil", LEFT,
    ),
    "resnet34": Row(
        "ResNet", "smp", FROM_2, (64, 64, 128, 256, 512), DILATES,
        "smp-hub/resnet34.imagenet", OTHER, IMAGENET, "ceil", LEFT,
    ),
    "resnet50": Row(
        "ResNet", "smp", FROM_2, (64, 256, 512, 1024, 2048), DILATES,
        "smp-hub/resnet50.imagenet", OTHER, IMAGENET, "ceil", LEFT,
    ),
    "resnet101": Row(
        "ResNet", "smp", FROM_2, (64, 256, 512, 1024, 2048), DILATES,
        "smp-hub/resnet101.imagenet", OTHER, IMAGENET, "ceil", LEFT,
    ),
    "resnet18d": Row(
        "ResNet-vd", "timm", FROM_2, (64, 64, 128, 256, 512), DILATES,
        "timm/resnet18d.ra2_in1k", APACHE, IMAGENET, "ceil", LEFT,
    ),
    "resnet50d": Row(
        "ResNet-vd", "timm", FROM_2, (64, 256, 512, 1024, 2048), DILATES,
        "timm/resnet50d.ra2_in1k", APACHE, IMAGENET, "ceil", LEFT,
    ),
    "resnext50_32x4d": Row(
        "ResNeXt", "smp", FROM_2, (64, 256, 512, 1024, 2048), DILATES,
        "smp-hub/resnext50_32x4d.imagenet", OTHER, IMAGENET, "ceil", LEFT,
    ),
    "densenet121": Row(
        "DenseNet", "smp", FROM_2, (64, 256, 512, 1024, 1024), DILATES,
        "smp-hub/densenet121.imagenet", OTHER, IMAGENET, "multiple", (-0.5, -1.5, -1.5, -1.5, -1.5),
    ),
    "densenet169": Row(
        "DenseNet", "smp", FROM_2, (64, 256, 512, 1280, 1664), DILATES,
        "smp-hub/densenet169.imagenet", OTHER, IMAGENET, "multiple", (-0.5, -1.5, -1.5, -1.5, -1.5),
    ),
    "mobilenetv1_100": Row(
        "MobileNet V1", "timm", FROM_2, (64, 128, 256, 512, 1024), DILATES,
        "timm/mobilenetv1_100.ra4_e3600_r224_in1k", APACHE, HALF, "ceil", LEFT,
    ),
    "mobilenet_v2": Row(
        "MobileNet V2", "smp", FROM_2, (16, 24, 32, 96, 1280), DILATES,
        "smp-hub/mobilenet_v2.imagenet", OTHER, IMAGENET, "ceil", LEFT,
    ),
    "mobilenetv2_100": Row(
        "MobileNet V2", "timm", FROM_2, (16, 24, 32, 96, 320), DILATES,
        "timm/mobilenetv2_100.ra_in1k", APACHE, IMAGENET, "ceil", LEFT,
    ),
    "mobilenetv3_small_100": Row(
        "MobileNet V3", "timm", FROM_2, (16, 16, 24, 48, 576), DILATES,
        "timm/mobilenetv3_small_100.lamb_in1k", APACHE, IMAGENET, "ceil", LEFT,
    ),
    "mobilenetv3_large_100": Row(
        "MobileNet V3", "timm", FROM_2, (16, 24, 40, 112, 960), DILATES,
        "timm/mobilenetv3_large_100.ra_in1k", APACHE, IMAGENET, "ceil", LEFT,
    ),
    "xception": Row(
        "Xception", "smp", FROM_2, (64, 128, 256, 728, 2048), DILATES,
        "smp-hub/xception.imagenet", OTHER, HALF, "ceil", LEFT,
    ),
    "xception41": Row(
        "Xception", "timm", FROM_2, (128, 256, 728, 1024, 2048), DILATES,
        "timm/xception41.tf_in1k", APACHE, HALF, "ceil", LEFT,
    ),
    "tv-shufflenet_v2_x0_5": Row(
        "ShuffleNet V2", "torchvision", FROM_2, (24, 24, 48, 96, 192), DILATES,
        "shufflenetv2_x0.5-f707e7126e.pth", NOT_STATED, IMAGENET, "ceil", LEFT,
    ),
    "tv-shufflenet_v2_x1_0": Row(
        "ShuffleNet V2", "torchvision", FROM_2, (24, 24, 116, 232, 464), DILATES,
        "shufflenetv2_x1-5666bf0f80.pth", NOT_STATED, IMAGENET, "ceil", LEFT,
    ),
    "tv-shufflenet_v2_x1_5": Row(
        "ShuffleNet V2", "torchvision", FROM_2, (24, 24, 176, 352, 704), DILATES,
        "shufflenetv2_x1_5-3c479a10.pth", NOT_STATED, IMAGENET, "ceil", LEFT,
    ),
    "tv-shufflenet_v2_x2_0": Row(
        "ShuffleNet V2", "torchvision", FROM_2, (24, 24, 244, 488, 976), DILATES,
        "shufflenetv2_x2_0-8be3c8ee.pth", NOT_STATED, IMAGENET, "ceil", LEFT,
    ),
    "tv-squeezenet1_0": Row(
        "SqueezeNet", "torchvision", (2, 4, 8, 16), (96, 256, 512, 512), (8, 16),
        "squeezenet1_0-b66bff10.pth", NOT_STATED, IMAGENET, "multiple", (-0.5, 0.5, 2.5, 6.5),
    ),
    "tv-squeezenet1_1": Row(
        "SqueezeNet", "torchvision", (2, 4, 8, 16), (64, 128, 256, 512), (8, 16),
        "squeezenet1_1-b8a52dc0.pth", NOT_STATED, IMAGENET, "multiple", (-0.5, 0.5, 2.5, 6.5),
    ),
    "senet154": Row(
        "SENet", "smp", FROM_2, (128, 256, 512, 1024, 2048), DILATES,
        "smp-hub/senet154.imagenet", OTHER, IMAGENET, "multiple", (-0.5, 0.5, -1.5, -5.5, -13.5),
    ),
    "se_resnet50": Row(
        "SE-ResNet", "smp", FROM_2, (64, 256, 512, 1024, 2048), DILATES,
        "smp-hub/se_resnet50.imagenet", OTHER, IMAGENET, "multiple", (-0.5, 0.5, -1.5, -5.5, -13.5),
    ),
    "seresnet50": Row(
        "SE-ResNet", "timm", FROM_2, (64, 256, 512, 1024, 2048), DILATES,
        "timm/seresnet50.a1_in1k", APACHE, IMAGENET, "ceil", LEFT,
    ),
    "se_resnext50_32x4d": Row(
        "SE-ResNet", "smp", FROM_2, (64, 256, 512, 1024, 2048), DILATES,
        "smp-hub/se_resnext50_32x4d.imagenet", OTHER, IMAGENET, "multiple", (-0.5, 0.5, -1.5, -5.5, -13.5),
    ),
    "skresnet18": Row(
        "SKNet", "timm", FROM_2, (64, 64, 128, 256, 512), DILATES,
        "timm/skresnet18.ra_in1k", APACHE, IMAGENET, "ceil", LEFT,
    ),
    "skresnet34": Row(
        "SKNet", "timm", FROM_2, (64, 64, 128, 256, 512), DILATES,
        "timm/skresnet34.ra_in1k", APACHE, IMAGENET, "ceil", LEFT,
    ),
    "efficientnet-b0": Row(
        "EfficientNet", "smp", FROM_2, (32, 24, 40, 112, 320), DILATES,
        "smp-hub/efficientnet-b0.imagenet", OTHER, IMAGENET, "floor", RIGHT,
    ),
    "efficientnet_b0": Row(
        "EfficientNet", "timm", FROM_2, (16, 24, 40, 112, 320), DILATES,
        "timm/efficientnet_b0.ra_in1k", APACHE, IMAGENET, "ceil", LEFT,
    ),
    "tf_efficientnet_lite0": Row(
        "EfficientNet-lite", "timm", FROM_2, (16, 24, 40, 112, 320), DILATES,
        "timm/tf_efficientnet_lite0.in1k", APACHE, IMAGENET, "ceil", RIGHT,
    ),
    "tf_efficientnet_lite4": Row(
        "EfficientNet-lite", "timm", FROM_2, (24, 32, 56, 160, 448), DILATES,
        "timm/tf_efficientnet_lite4.in1k", APACHE, IMAGENET, "ceil", RIGHT,
    ),
    "convnext_atto": Row(
        "ConvNeXt", "timm", FROM_4, (40, 80, 160, 320), DILATES,
        "timm/convnext_atto.d2_in1k", APACHE, IMAGENET, "floor", (0.0, 0.0, 0.0, 0.0),
    ),
    "convnext_tiny": Row(
        "ConvNeXt", "timm", FROM_4, (96, 192, 384, 768), DILATES,
        "timm/convnext_tiny.in12k_ft_in1k", APACHE, IMAGENET, "floor", (0.0, 0.0, 0.0, 0.0),
    ),
    "mit_b0": Row(
        "MiT", "smp", FROM_4, (32, 64, 160, 256), (32,),
        "smp-hub/mit_b0.imagenet", NVIDIA, IMAGENET, "ceil", (-1.5, -3.5, -7.5, -15.5),
    ),
    "mit_b1": Row(
        "MiT", "smp", FROM_4, (64, 128, 320, 512), (32,),
        "smp-hub/mit_b1.imagenet", NVIDIA, IMAGENET, "ceil", (-1.5, -3.5, -7.5, -15.5),
    ),
}  # fmt: skip


def row_of(name: str) -> Row | None:
    """The row of an encoder, None when it is not in the table; `tu-` before a name of timm makes no difference, but a
    tag after it means other weights.

    >>> row_of("tu-resnet50d") is row_of("resnet50d"), row_of("tu-resnet50d.a1_in1k")
    (True, None)
    """
    row = TABLE.get(name.removeprefix("tu-"))
    return None if row is None or (name.startswith("tu-") and row.library != "timm") else row


def with_output_stride(output_stride: int) -> list[str]:
    """Names of the table whose last feature can have that stride.

    >>> "resnet18" in with_output_stride(8), "mit_b0" in with_output_stride(8)
    (True, False)
    """
    return [name for name, row in TABLE.items() if output_stride in row.output_strides]
