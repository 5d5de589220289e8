"""Settings of trackers, which mirror a trial elsewhere; never part of its identity."""

from typing import Annotated, Literal

from pydantic import Field

from segsuite.config.base import Settings


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
    """Validation images that are shown: photo and ground truth once, predictions a few times; 0 to 16, 0: none."""
    image_times: int = Field(5, ge=1)
    """At how many validations, spread over the training and the last one among them, predictions are shown; at least
    1."""
    checkpoints: bool = False
    """Upload the scored checkpoint as an artifact."""


def axis_key(path: str) -> str:
    """The flat key of a setting.

    >>> axis_key("train.optimizer.learning_rate"), axis_key("loss.name"), axis_key("loss")
    ('learning_rate', 'loss', 'loss')
    """
    words = path.split(".")
    return words[-2] if words[-1] == "name" and len(words) > 1 else words[-1]
