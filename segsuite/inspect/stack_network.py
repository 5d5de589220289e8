"""The real modules of a stack of layers."""

from collections import OrderedDict

from torch import nn

from segsuite.inspect.stacks import Pair, Stack, StackLayer, check_sizes


def stack_network(stack: Stack, size: Pair | None = None) -> nn.Sequential:
    """Convolutions and poolings one behind the other, (N, stack.channels, H, W) -> (N, C, H', W').

    Raises ConfigError with the place of the first layer that images of `size`, or of the stack's own, do not fit.
    """
    check_sizes(stack, size or stack.size)
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    channels = stack.channels
    for name, layer in stack.layers.items():
        modules[name] = _module(layer, channels)
        channels = layer.output_channels(channels)
    return nn.Sequential(modules)


def _module(layer: StackLayer, channels: int) -> nn.Module:
    out = layer.output_channels(channels)
    groups = channels if layer.kind == "depthwise" else layer.groups
    match layer.kind:
        case "pool":
            return nn.MaxPool2d(layer.kernel, layer.stride, layer.padding, layer.dilation, ceil_mode=layer.ceil)
        case "average_pool":
            return nn.AvgPool2d(layer.kernel, layer.stride, layer.padding, layer.ceil)
        case "upsample":
            corners = None if layer.mode == "nearest" else False
            factors = (float(layer.kernel[0]), float(layer.kernel[1]))
            return nn.Upsample(scale_factor=factors, mode=layer.mode, align_corners=corners)
        case "transposed":
            return nn.ConvTranspose2d(
                channels, out, layer.kernel, layer.stride, layer.padding, layer.output_padding, groups, layer.bias,
                layer.dilation,
            )  # fmt: skip
        case _:
            return nn.Conv2d(
                channels, out, layer.kernel, layer.stride, layer.padding, layer.dilation, groups, layer.bias
            )
