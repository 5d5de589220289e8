"""Backbones that only torchvision has, cut by their graph: `tv-<name of torchvision>`.

Their features are read at the nodes of TAPS (torchvision.models.feature_extraction). AlexNet, SqueezeNet's first layer
and Inception v3 lose pixels at the border, so that their features would be fewer than H / stride and stand elsewhere
than those of finer strides. `pad_windows` gives each window that loses pixels (k - 1) / 2 on each side, as smp does for
its Inception v4: the features are then the same functions on a grid that is moved by less than a stride (only near the
border do they see the padding), and feature i of stride s looks evenly about pixel s * i, as in a ResNet.
"""

from typing import Any

import torchvision
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torchvision.models.feature_extraction import create_feature_extractor

from segsuite.encoders.table import TABLE
from segsuite.encoders.windows import pair

SHUFFLENET = {2: "conv1", 4: "maxpool", 8: "stage2", 16: "stage3", 32: "stage4"}
# stride -> module whose output is the feature: the last one of that stride before the next stride
TAPS: dict[str, dict[int, str]] = {
    "alexnet": {4: "features.1", 8: "features.4", 16: "features.11", 32: "features.12"},
    "googlenet": {2: "conv1", 4: "conv3", 8: "inception3b", 16: "inception4e", 32: "inception5b"},
    "inception_v3": {2: "Conv2d_2b_3x3", 4: "Conv2d_4a_3x3", 8: "Mixed_5d", 16: "Mixed_6e", 32: "Mixed_7c"},
    "shufflenet_v2_x0_5": SHUFFLENET,
    "shufflenet_v2_x1_0": SHUFFLENET,
    "shufflenet_v2_x1_5": SHUFFLENET,
    "shufflenet_v2_x2_0": SHUFFLENET,
    "squeezenet1_0": {2: "features.1", 4: "features.5", 8: "features.10", 16: "features.12"},
    "squeezenet1_1": {2: "features.1", 4: "features.4", 8: "features.7", 16: "features.12"},
}
# without the second classifiers, which are for ImageNet's classes
WITHOUT_CLASSIFIERS = {"aux_logits": False, "init_weights": True, "transform_input": False}
ARGUMENTS: dict[str, dict[str, Any]] = {"googlenet": WITHOUT_CLASSIFIERS, "inception_v3": WITHOUT_CLASSIFIERS}
POOLINGS = {
    "max_pool2d": (nn.MaxPool2d, ("kernel_size", "stride", "padding")),
    "avg_pool2d": (nn.AvgPool2d, ("kernel_size", "stride", "padding")),
}


class GraphBody(nn.Module):
    """(N, 3, H, W) -> the image and its features by stride 2, 4, ..., as smp's encoders give them; a stride without a
    feature has no channels.

    name: of torchvision, without `tv-`; weights are random. depth: the last stride is at most 2^depth; later modules
    are left out.
    """

    def __init__(self, name: str, depth: int = 5) -> None:
        super().__init__()
        row = TABLE[f"tv-{name}"]
        nodes = {node: str(stride) for stride, node in TAPS[name].items() if stride <= 2**depth}
        whole = getattr(torchvision.models, name)(weights=None, **ARGUMENTS.get(name, {}))
        self.model = without_functions(create_feature_extractor(whole, nodes))
        pad_windows(self.model)
        channels = dict(zip(row.strides, row.channels, strict=True))
        last = max(map(int, nodes.values())).bit_length() - 1
        self.out_channels = [3, *(channels.get(2**i, 0) for i in range(1, last + 1))]

    def forward(self, x_NCHW: Tensor) -> list[Tensor]:
        found: dict[str, Tensor] = self.model(x_NCHW)
        return [x_NCHW, *(found.get(str(2**i), x_NCHW[:, :0]) for i in range(1, len(self.out_channels)))]


def without_functions(extractor: fx.GraphModule) -> fx.GraphModule:
    """The same features by one graph, in which poolings that were called as functions (Inception v3) are modules, so
    that they can be padded and dilated like all others.

    torchvision (0.29) keeps one graph for training and one for evaluation, and a deep copy of such a module in
    evaluation is in training, which moves the statistics of batch norm. Up to the features both graphs are the same:
    what depends on the mode otherwise (dropout, second classifiers) comes after them.
    """
    graph: fx.Graph = extractor.eval_graph  # type: ignore[assignment]
    calls = [node for node in graph.nodes if node.op == "call_function" and _called(node) in POOLINGS]
    for index, node in enumerate(calls):
        kind, names = POOLINGS[_called(node)]
        image, *settings = node.args
        given = {**dict(zip(names, settings, strict=False)), **node.kwargs}
        extractor.add_module(f"pooling_{index}", kind(**{name: given[name] for name in names if name in given}))
        with graph.inserting_before(node):
            node.replace_all_uses_with(graph.create_node("call_module", f"pooling_{index}", (image,)))
        graph.erase_node(node)
    return fx.GraphModule(extractor, graph)


def _called(node: fx.Node) -> str:
    if node.target in (F.max_pool2d, F.avg_pool2d):
        return "max_pool2d" if node.target is F.max_pool2d else "avg_pool2d"
    return getattr(node.target, "__name__", "")


def pad_windows(model: nn.Module) -> None:
    """Pads convolutions and max poolings that lose pixels to ceil(size / stride), in place."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) or (isinstance(module, nn.MaxPool2d) and not module.ceil_mode):
            kernel, padding = pair(module.kernel_size), pair(module.padding)  # type: ignore[arg-type]  # no words here
            module.padding = (max(padding[0], (kernel[0] - 1) // 2), max(padding[1], (kernel[1] - 1) // 2))
