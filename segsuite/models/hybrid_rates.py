"""Hybrid dilated convolution (HDC; Wang et al. 2018, arXiv 1702.08502, section 3.2): which rates a ResNet's last stages
take, checked without torch.

Blocks that share a rate r see only every r-th pixel (gridding). HDC gives the blocks of a stage rates without a common
factor that cover the field of view without holes, such as 1, 2, 5 or 1, 2, 3: the paper's ResNet-101 at output stride 8
has 1, 2, 3 over and over in the stage before the last, 3, 4, 5 in the last one.

multi_grid cannot express that at output strides 8 and 16: it multiplies the stage's dilation, 4 or 2, which then is a
common factor of all rates. hybrid_rates are the rates themselves.
"""

from collections.abc import Sequence

from segsuite.encoders import check_multi_grid
from segsuite.errors import ConfigError

STAGES = ("layer2", "layer3", "layer4")


def check_hybrid_rates(
    encoder: str, hybrid_rates: Sequence[Sequence[int]] | None, multi_grid: Sequence[int] | None
) -> None:
    """Raises ConfigError unless `encoder` is a ResNet, the last list has a rate for each block of its last stage, every
    rate is at least 1, and multi_grid is not set as well."""
    if hybrid_rates is None:
        return
    shown = [list(rates) for rates in hybrid_rates]
    if multi_grid is not None:
        raise ConfigError(
            f"hybrid_rates {shown} and multi_grid {list(multi_grid)} both set the rates of the last stage",
            advice="leave one of them out",
        )
    if not 1 <= len(shown) <= len(STAGES) or any(not rates or min(rates) < 1 for rates in shown):
        raise ConfigError(
            f"hybrid_rates {shown} is not one to {len(STAGES)} lists of numbers of at least 1",
            advice="give one list a stage, the last one for the last stage, for example [[1, 2, 3], [3, 4, 5]]",
        )
    try:
        check_multi_grid(encoder, shown[-1])
    except ConfigError as error:
        what, advice = (text.replace("multi_grid", "hybrid_rates") for text in (error.what, error.advice))
        raise ConfigError(what.replace(f"is {shown[-1]}", f"ends in {shown[-1]}"), advice=advice) from None
