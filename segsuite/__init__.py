"""segsuite: semantic-segmentation and upsampling experiments with error bars. Importing it imports no torch.

>>> import segsuite
>>> up = segsuite.build_upsampler("bilinear_conv", in_channels=8, out_channels=4)
>>> model = segsuite.build_model("unet", num_classes=3, encoder="resnet18", upsampler="nearest_conv")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segsuite.api import (
        Experiment,
        SegmentationModule,
        TrainedTrial,
        build_loss,
        build_model,
        build_upsampler,
        compare,
        load_experiment,
        load_trial,
        run,
    )

__version__ = "0.1.0"
__all__ = [
    "Experiment",
    "SegmentationModule",
    "TrainedTrial",
    "__version__",
    "build_loss",
    "build_model",
    "build_upsampler",
    "compare",
    "load_experiment",
    "load_trial",
    "run",
]


def __getattr__(name: str) -> Any:
    """The names of `segsuite.api`, imported when one is asked for: the command line needs none of them."""
    if name in __all__:
        from segsuite import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
