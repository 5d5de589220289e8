"""What each arm's loss is, in words, and how large its gradient was at the start of training beside cross entropy's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from segsuite.config.loss import Loss, LossSettings, SumLoss, WeightRule
from segsuite.report.gather import Gathered, TrialRecord, number

Key = TypeVar("Key", int, str)
TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class ArmLoss:
    """`weights`: setting -> class -> number, of the arm's first finished trial that has some. `relative`: seed -> norm
    of the loss's gradient to the logits on the first batch, by that of plain cross entropy. `factors`: seed -> what the
    loss was multiplied by."""

    words: str
    matched: bool
    """Whether its gradient was made as large as that of cross entropy."""
    weights: Mapping[str, Mapping[str, float]]
    relative: Mapping[int, float]
    factors: Mapping[int, float]


def losses_differ(gathered: Gathered) -> bool:
    """Whether arms differ in their loss, or in what it is multiplied by."""
    return len({(one.settings.loss, one.settings.train.match_gradient_norm) for one in gathered.trials}) > 1


def arm_losses(gathered: Gathered) -> dict[str, ArmLoss]:
    """Arm -> its loss, also for arms without a result."""
    found = {}
    for arm in gathered.arms:
        settings, done = gathered.of(arm)[0].settings, gathered.done(arm)
        found[arm] = ArmLoss(
            loss_words(settings.loss),
            settings.train.match_gradient_norm,
            next((weights for trial in done if (weights := class_weights(trial))), {}),
            _known({trial.seed: _relative(trial) for trial in done}),
            _known({trial.seed: number(trial.within("loss_factor")) for trial in done}),
        )
    return found


def class_weights(trial: TrialRecord) -> dict[str, dict[str, float]]:
    """`loss_weights` of the result: setting -> class -> number; counts of pixels are no weights, and left out."""
    given = trial.within("loss_weights")
    if not isinstance(given, dict):
        return {}
    tables = {
        str(setting): _known({str(name): number(value) for name, value in table.items()})
        for setting, table in given.items()
        if isinstance(table, dict) and not str(setting).endswith("pixel_counts")
    }
    return {setting: table for setting, table in tables.items() if table}


def loss_words(loss: Loss) -> str:
    """The loss as one would name it: `cross entropy (class weights: log) + 0.5 x dice`, with a multiplication sign.

    Numbers that a loss has are told even where they are its defaults, other settings where they are not.
    """
    terms: Sequence[LossSettings] = loss.terms if isinstance(loss, SumLoss) else (loss,)
    return " + ".join(map(_term, terms))


def _term(loss: LossSettings) -> str:
    told = [
        text
        for key, field in type(loss).model_fields.items()
        if key not in LossSettings.model_fields and (text := _setting(key, getattr(loss, key), field.default))
    ]
    factor = "" if loss.weight == 1 else f"{loss.weight:g} {TIMES} "
    return f"{factor}{loss.name.replace('_', ' ')}" + (f" ({', '.join(told)})" if told else "")


def _setting(key: str, value: Any, default: Any) -> str:
    """One setting in words; empty for what is off."""
    words = key.replace("_", " ")
    if key in ("class_weights", "alpha") and not isinstance(value, float | None):
        return f"{words}: {_weights(value)}"
    if isinstance(value, bool):
        return words if value else ""
    if isinstance(value, int | float):
        return f"{words} {value:.7g}" if value or value != default else ""
    if value is None or value == default:
        return ""
    if isinstance(value, tuple):
        return f"{words}: {', '.join(value)}" if isinstance(value[0], str) else f"{words} as given"
    return f"{words}: {value}"


def _weights(value: Any) -> str:
    """A rule with the settings that differ from their defaults, or that there is a list."""
    if not isinstance(value, WeightRule):
        return value.replace("_", " ") if isinstance(value, str) else "as given"
    given = value.model_dump(exclude_defaults=True, exclude={"rule"})
    return " ".join([value.rule.replace("_", " "), *(f"{key} {_plain(one)}" for key, one in given.items())])


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return " to ".join(map(_plain, value))
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def _relative(trial: TrialRecord) -> float | None:
    norm, reference = (number(trial.within(f"loss_{name}_norm")) for name in ("gradient", "reference"))
    return norm / reference if norm is not None and reference else None


def _known(values: Mapping[Key, float | None]) -> dict[Key, float]:
    return {key: value for key, value in values.items() if value is not None}
