"""Names of the layers that decoders are made of, and which settings exclude each other, checked without torch."""

from collections.abc import Mapping, Sequence

from segsuite.errors import ConfigError, unknown_name

NORMALISATIONS = ("batch", "group", "instance", "layer", "none")
ACTIVATIONS = ("relu", "leaky_relu", "silu", "mish", "relu6")
ATTENTIONS = ("none", "scse")
ENCODER_NORMALISATIONS = ("own", "frozen_batch")
SYNCHRONISED = "synchronised_batch"
"""Name of before: what it did is what batch norm does wherever several processes train one trial."""
GROUPS = 32
"""Groups of group norm (Wu and He 2018, section 4.1)."""


def check_layers(normalisation: str, normalisation_groups: int, activation: str, attention: str) -> None:
    """Raises ConfigError for an unknown name, and for groups of a normalisation that has none."""
    known: Mapping[str, tuple[str, Sequence[str]]] = {
        "normalisation": (normalisation, NORMALISATIONS),
        "activation": (activation, ACTIVATIONS),
        "attention": (attention, ATTENTIONS),
    }
    for kind, (name, valid) in known.items():
        if name not in valid:
            advice = ""
            if name == "frozen_batch":
                advice = "set encoder_normalisation: a decoder starts without statistics that could be kept"
            elif name == SYNCHRONISED:
                advice = instead_of_synchronised("batch")
            raise ConfigError(unknown_name(kind, name, valid), advice=advice)
    if normalisation_groups < 1:
        raise ConfigError(f"normalisation_groups must be at least 1, not {normalisation_groups}")
    if normalisation != "group" and normalisation_groups != GROUPS:
        raise ConfigError(
            f"normalisation is '{normalisation}', which has no groups, but normalisation_groups is "
            f"{normalisation_groups}",
            advice="leave normalisation_groups out, or set normalisation to group",
        )


def instead_of_synchronised(now: str) -> str:
    """What to write for synchronised_batch.

    >>> instead_of_synchronised("own")
    'write own: batch norm takes its statistics over all processes of a trial'
    """
    return f"write {now}: batch norm takes its statistics over all processes of a trial"


def groups_of(channels: int, groups: int) -> int:
    """The largest number of groups, at most `groups`, that divides `channels`.

    >>> groups_of(256, 32), groups_of(48, 32), groups_of(16, 32), groups_of(47, 32)
    (32, 24, 16, 1)
    """
    return next(number for number in range(min(groups, channels), 0, -1) if channels % number == 0)
