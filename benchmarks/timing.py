"""Times functions side by side: in turn, A B A B, so that a machine whose speed drifts slows all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping


def side_by_side(functions: Mapping[str, Callable[[], object]], rounds: int, warmup: int = 1) -> dict[str, list[float]]:
    """Seconds of each call of each function, `rounds` each, in alternating order; a function may return its own."""
    for function in functions.values():
        for _ in range(warmup):
            function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(rounds):
        for name in list(functions) if turn % 2 == 0 else list(functions)[::-1]:
            start = time.perf_counter()
            own = functions[name]()
            seconds[name].append(own if isinstance(own, float) else time.perf_counter() - start)
    return seconds


def table(seconds: Mapping[str, list[float]], base: str) -> str:
    """Median, minimum and the median of the ratios round by round to `base`."""
    width = max(map(len, seconds))
    lines = [f"{'':{width}}  median s   min s  ratio to {base}"]
    for name, values in seconds.items():
        ratio = statistics.median(value / other for value, other in zip(values, seconds[base], strict=True))
        lines.append(f"{name:{width}}  {statistics.median(values):8.3f}  {min(values):6.3f}  {ratio:.3f}")
    return "\n".join(lines)
