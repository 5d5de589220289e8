"""Settings of trackers, which mirror a trial elsewhere; never part of its identity."""

from typing import Annotated, Literal

from pydantic import Field

from segsuite.config.base import Settings

PREDICTIONS = "samples/prediction"
CLASS_TABLE = "final/per_class"
PREDICTION_TABLE = "final/predictions"
"""Keys of a W&B run: images during the training, and the tables at its end."""


class Wandb(Settings):
    """Weights & Biases. The files of the run directory stay the truth; W&B holds a copy."""

    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    """auto: online with an API key, else offline (`segsuite wandb-sync` uploads later). WANDB_MODE wins over this."""
    project: str | None = Field(None, min_length=1, max_length=128)
    """Project; None: WANDB_PROJECT, else `segsuite`."""
    entity: str | None = Field(None, min_length=1)
    """User or team; None: WANDB_ENTITY, else the API key's own."""
    tags: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = ()
    """Tags of every run, beside the experiment's name."""
    images: int = Field(4, ge=0, le=16)
    """Validation images that are shown, each a photo with ground truth and prediction as masks, and as many scored ones
    in a table; 0 to 16, 0: no image leaves this machine."""
    image_times: int = Field(5, ge=1)
    """At how many validations, spread over the training and the last one among them, predictions are shown; at least
    1."""
    checkpoints: bool = False
    """Upload the scored checkpoint as an artifact."""


def is_shown(done: int, epochs: int, validate_every: int, times: int) -> bool:
    """Whether the validation after `done` of `epochs` epochs is one of `times` that are spread evenly; the last is.

    >>> [done for done in range(2, 21, 2) if is_shown(done, 20, 2, times=3)]
    [8, 14, 20]
    """
    before = max(0, done - validate_every)
    return done * times // epochs > before * times // epochs


def axis_key(path: str) -> str:
    """The flat key of a setting.

    >>> axis_key("train.optimizer.learning_rate"), axis_key("loss.name"), axis_key("loss")
    ('learning_rate', 'loss', 'loss')
    """
    words = path.split(".")
    return words[-2] if words[-1] == "name" and len(words) > 1 else words[-1]
