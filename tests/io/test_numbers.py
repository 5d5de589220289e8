"""Numbers as people write them."""

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import segsuite
from segsuite.io.numbers import percent, significant


@given(st.floats(1e-9, 1e9), st.integers(1, 4))
def test_a_number_has_no_exponent_and_is_right_to_its_digits(value: float, digits: int) -> None:
    text = significant(value, digits)
    assert re.fullmatch(r"\d+(\.\d+)?", text)
    assert len(text.replace(".", "").lstrip("0")) <= max(digits, len(f"{value:.0f}"))  # no 12.699999999999999
    assert abs(float(text) - value) <= 0.5 * value * 10 ** (1 - digits) * (1 + 1e-9)


def test_shares_near_one_are_percents() -> None:
    """It was 1e+02 %."""
    assert [percent(share) for share in (1.0, 0.996, 0.994, 0.05)] == ["100 %", "100 %", "99 %", "5 %"]


def test_no_percent_is_written_with_an_exponent() -> None:
    folder = Path(segsuite.__file__).parent
    found = [
        f"{path.relative_to(folder)}: {match[0]}"
        for path in folder.rglob("*.py")
        for match in re.finditer(r"\{[^{}]*100 \*[^{}]*:\.\dg\} %", path.read_text(encoding="utf-8"))
    ]
    assert found == []
