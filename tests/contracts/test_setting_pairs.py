"""Every two settings of a trial together: what is valid also trains. A failure that needs one pair of settings, such as
clipping with the default optimizer at the default precision, is found here and not by a user."""

import itertools
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from segsuite import yaml_io
from segsuite.config import TrialSettings
from segsuite.config.base import models_in
from segsuite.experiment import load
from segsuite.launch.freeze import freeze
from segsuite.losses import LOSSES as ALL_LOSSES
from segsuite.models import MODELS as ALL_MODELS
from segsuite.train.callbacks import StopRequest
from segsuite.trial import run_trial
from tests.contracts.pairs import Row, covering_rows, pairs_of
from tests.contracts.setting_values import FACTORS, LOSSES, MODELS, is_left_out, settings_of, values_of

ROWS = covering_rows(FACTORS, lambda row: settings_of(row) is not None)


@given(st.lists(st.integers(1, 4), min_size=2, max_size=6), st.data())
def test_every_pair_that_is_possible_is_in_a_row(sizes: list[int], data: st.DataObject) -> None:
    factors = {f"f{index}": tuple(range(size)) for index, size in enumerate(sizes)}
    names = list(factors)
    one, other = data.draw(st.lists(st.sampled_from(names), min_size=2, max_size=2, unique=True))

    def allowed(row: Row) -> bool:
        """A value other than the default of one factor needs the last value of another."""
        return row[one] == 0 or row[other] == factors[other][-1]

    everything = [dict(zip(names, row, strict=True)) for row in itertools.product(*factors.values())]
    possible = set().union(*(pairs_of(row) for row in everything if allowed(row)))
    rows = covering_rows(factors, allowed)
    assert all(allowed(row) and list(row) == names for row in rows)
    assert set().union(*map(pairs_of, rows)) == possible
    assert len(rows) < 2 * max(sizes) ** 2 + len(sizes)


def test_no_setting_is_forgotten() -> None:
    """A new setting fails here until setting_values.py has it at its default and at another value, or says why not."""
    seen: set[tuple[type[BaseModel], str, bool]] = set()
    for row in ROWS:
        settings = settings_of(row)
        assert settings is not None
        seen.update(_fields_of(settings))
    expected = {
        (group, field, is_default)
        for group in _groups(TrialSettings)
        for field, known in group.model_fields.items()
        if field != "name" and not is_left_out(group, field) and not models_in(known.annotation)
        for is_default in ((True, False) if not known.is_required() else (False,))
    }
    missing = sorted(
        f"{group.__name__}.{field}: {'at its default' if is_default else 'at another value'}"
        for group, field, is_default in expected - seen
    )
    assert not missing, missing
    assert set(LOSSES) == {*ALL_LOSSES}
    assert set(MODELS) == {name for name in ALL_MODELS if not name.startswith("smp/")} | {"smp/Unet"}


def _groups(group: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield group
    for name, field in group.model_fields.items():
        if not is_left_out(group, name):
            for inner in models_in(field.annotation):
                yield from _groups(inner)


def _fields_of(settings: BaseModel) -> Iterator[tuple[type[BaseModel], str, bool]]:
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        default = object() if field.is_required() else field.get_default(call_default_factory=True)
        yield type(settings), name, bool(value == default)
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, BaseModel):
                yield from _fields_of(inner)


@pytest.mark.slow
def test_two_steps_of_every_pair_of_settings(tmp_path: Path) -> None:
    failures: list[str] = []
    for number, row in enumerate(ROWS):
        folder = tmp_path / str(number)
        values = {"name": "pairs", "runs_root": str(folder / "runs"), **(values_of(row) or {})}
        try:
            _train(folder, values)
        except Exception as error:
            changed = {name: value for name, value in row.items() if value != FACTORS[name][0]}
            last = traceback.extract_tb(error.__traceback__)[-1]
            failures.append(f"{changed}: {type(error).__name__}: {error} ({last.filename}:{last.lineno})")
    assert not failures, f"{len(failures)} of {len(ROWS)} rows:\n" + "\n".join(failures)


def _train(folder: Path, values: dict[str, Any]) -> None:
    folder.mkdir()
    path = folder / "pairs.yaml"
    path.write_text(yaml_io.to_text(values), encoding="utf-8")
    (trial,) = load(path).trials
    result = run_trial(freeze(trial), lambda event: None, StopRequest())
    assert result["scores"]["miou"] is not None
