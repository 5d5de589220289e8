"""Networks that every textbook explains, as stacks. No torch.

vgg16: configuration D of Simonyan and Zisserman 2015 (arXiv 1409.1556), classifier as convolutions; 138,357,544
parameters. alexnet: Krizhevsky, Sutskever and Hinton 2012, with its two groups; on 224 x 224 pixels with padding 2, as
it is run today (the paper's 55 x 55 needs 227 pixels without). zf5: Zeiler and Fergus 2013 (arXiv 1311.2901), five
convolutions, padded as in SPP-net (He et al. 2014, arXiv 1406.4729) so that conv5 is 14 x 14 with stride 16.
"""

from segsuite.errors import ConfigError, unknown_name
from segsuite.inspect.stacks import Stack, stack_of


def _vgg(*widths: tuple[int, int]) -> list[str]:
    lines = []
    for stage, (convs, width) in enumerate(widths, 1):
        lines += [f"conv{stage}_{place}: conv 3 p1 {width}" for place in range(1, convs + 1)]
        lines.append(f"pool{stage}: pool 2 s2")
    return lines


TEXTBOOK: dict[str, list[str]] = {
    "vgg16": [
        *_vgg((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)),
        "fc6: conv 7 4096",
        "fc7: conv 1 4096",
        "fc8: conv 1 1000",
    ],
    "alexnet": [
        "conv1: conv 11 s4 p2 96",
        "pool1: pool 3 s2",
        "conv2: conv 5 p2 g2 256",
        "pool2: pool 3 s2",
        "conv3: conv 3 p1 384",
        "conv4: conv 3 p1 g2 384",
        "conv5: conv 3 p1 g2 256",
        "pool5: pool 3 s2",
        "fc6: conv 6 4096",
        "fc7: conv 1 4096",
        "fc8: conv 1 1000",
    ],
    "zf5": [
        "conv1: conv 7 s2 p3 96",
        "pool1: pool 3 s2 p1",
        "conv2: conv 5 s2 p2 256",
        "pool2: pool 3 s2 p1",
        "conv3: conv 3 p1 384",
        "conv4: conv 3 p1 384",
        "conv5: conv 3 p1 256",
    ],
}


def textbook(name: str) -> Stack:
    """The stack called `name`. Raises ConfigError with the nearest valid name."""
    if name not in TEXTBOOK:
        raise ConfigError(unknown_name("textbook network", name, TEXTBOOK))
    return stack_of(name, TEXTBOOK[name])
