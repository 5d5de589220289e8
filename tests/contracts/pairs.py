"""Rows of settings that hold every pair of values: a covering array of strength two, made greedily."""

import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

Row = dict[str, Hashable]
Pair = frozenset[tuple[str, Hashable]]


def pairs_of(row: Mapping[str, Hashable]) -> set[Pair]:
    """The pairs of values that a row holds."""
    return {frozenset(pair) for pair in itertools.combinations(row.items(), 2)}


def covering_rows(factors: Mapping[str, Sequence[Hashable]], allowed: Callable[[Row], bool]) -> list[Row]:
    """Complete rows, in which every two values of two factors meet, unless they exclude each other.

    `allowed(row)` judges a complete row. The first value of a factor is its default, and the row of all defaults has
    to be allowed. Two values exclude each other when no row of defaults and at most one further value allows them.
    """
    defaults = {name: values[0] for name, values in factors.items()}

    def fits(part: Row) -> bool:
        return allowed({**defaults, **part})

    wanted: dict[Pair, Row] = {}
    for one, other in itertools.combinations(factors, 2):
        for pair in itertools.product(factors[one], factors[other]):
            start = next(filter(fits, _starts(dict(zip((one, other), pair, strict=True)), factors)), None)
            if start is not None:
                wanted[frozenset({(one, pair[0]), (other, pair[1])})] = start
    rows = []
    while wanted:
        row = _filled(next(iter(wanted.values())), factors, wanted.keys(), fits)
        rows.append(row)
        for pair_of_row in pairs_of(row):
            wanted.pop(pair_of_row, None)
    return rows


def _starts(pair: Row, factors: Mapping[str, Sequence[Hashable]]) -> Iterator[Row]:
    """The pair alone, and with each value of a third factor."""
    yield pair
    for name, values in factors.items():
        if name not in pair:
            yield from ({**pair, name: value} for value in values[1:])


def _filled(
    start: Row, factors: Mapping[str, Sequence[Hashable]], wanted: "set[Pair] | object", fits: Callable[[Row], bool]
) -> Row:
    """A complete row from `start`: each further factor takes the value with the most pairs that are still wanted."""
    row = dict(start)
    for name, values in factors.items():
        if name in row:
            continue

        def news(value: Hashable, name: str = name) -> int:
            return sum(frozenset({(name, value), item}) in wanted for item in row.items())  # type: ignore[operator]

        # Sorting keeps the order of equals, and so defaults first.
        ranked = sorted(values, key=news, reverse=True)
        row[name] = next(value for value in ranked if fits({**row, name: value}))
    return {name: row[name] for name in factors}
