"""Numbers as people write them, without an exponent, and as JSON can hold them."""

import math
from decimal import Decimal
from typing import Any


def significant(value: float, digits: int = 2) -> str:
    """`value` to so many significant digits; whole numbers keep theirs.

    >>> significant(99.7), significant(0.000123), significant(1234.5, 3), significant(12.0, 3), significant(12.7, 3)
    ('100', '0.00012', '1234', '12', '12.7')
    """
    rounded = Decimal(f"{value:.{digits}g}")
    return f"{value:.0f}" if abs(rounded) >= 10**digits else f"{rounded if rounded else Decimal(0):f}"


def percent(share: float, digits: int = 2) -> str:
    """
    >>> percent(0.997), percent(0.1234), percent(0)
    ('100 %', '12 %', '0 %')
    """
    return f"{significant(100 * share, digits)} %"


def finite(value: Any) -> Any:
    """`value` with every NaN or infinite float replaced by None, through dicts, lists and tuples.

    >>> finite({"a": [1.0, float("nan")]})
    {'a': [1.0, None]}
    """
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
