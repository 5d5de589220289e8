"""A memory that is too small for four images, without filling it."""

from pathlib import Path

LOADED_FIRST = """
import os, sys

if any(word in ("segsuite.trial", "segsuite.trial.nursery") for word in sys.orig_argv):
    import torch

    from segsuite.train.module import SegmentationModule

    training_step = SegmentationModule.training_step

    def without_memory(self, batch, batch_idx):
        if len(batch["label"]) == 4 and (not BESIDE_OTHERS or "SEGSUITE_SIDE_BY_SIDE" in os.environ):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
        return training_step(self, batch, batch_idx)

    SegmentationModule.training_step = without_memory
"""


def too_small_for_four(folder: Path, beside_others: bool = False) -> Path:
    """A folder for PYTHONPATH with which a trial's training of four images a batch lacks memory, or does so only while
    its launcher runs others beside it."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(f"BESIDE_OTHERS = {beside_others}\n{LOADED_FIRST}")
    return folder
