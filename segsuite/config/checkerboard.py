"""Settings of measuring checkerboards."""

from typing import Annotated

from pydantic import Field

from segsuite.config.base import Settings


class Checkerboard(Settings):
    """What upsampling leaves in features, logits, predictions and gradients: artefacts.json and artefacts.npz."""

    measure: bool = False
    """Whether it is measured, at the epochs below on val and at the end on the scored split; changes no weight."""
    images: int = Field(4, ge=1, le=64)
    """Images that are measured while training, evenly spaced over the split, 1 to 64; four times as many at the end."""
    epochs: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Numbers of epochs done at which it is measured, 0: at initialisation; None: 0, 1, 2, 4, 8, ... and the last."""
