"""segsuite.trial: what evaluation.output_stride scores is the trained weights in a network of that stride."""

from pathlib import Path

import numpy as np
import pytest
import torch

from segsuite.io.store import read_json
from segsuite.models import build_model
from segsuite.train import checkpoint_io
from segsuite.trial.data import build_data
from segsuite.trial.frozen import read
from tests.reliability.trials import attempt, frozen, write_experiment

MODEL = {"name": "deeplabv3", "encoder": "mobilenetv3_small_100", "aspp_channels": 8}


@pytest.mark.slow
def test_trained_at_16_and_scored_at_8(tmp_path: Path) -> None:
    path = write_experiment(
        tmp_path,
        model=MODEL,
        tracker="none",
        train__epochs=1,
        train__max_steps=2,
        execution__evaluation_batch_size=1,
        evaluation__output_stride=8,
    )
    folder = frozen(path)
    assert attempt(folder) == 0, (folder / "log.txt").read_text()
    settings = read(folder).settings
    data = build_data(settings)
    weights = checkpoint_io.network_weights(checkpoint_io.load(folder / "checkpoints" / "last.ckpt"))
    matrices = {}
    for output_stride in (8, 16):
        chosen = {**settings.model.model_dump(exclude={"name"}), "output_stride": output_stride}
        network = build_model("deeplabv3", data.num_classes, **chosen).eval()
        network.load_state_dict(weights)
        matrix = np.zeros((data.num_classes, data.num_classes), int)
        for index in data.scored_indices:
            image, label = data.scored_dataset.read(index)
            with torch.no_grad():
                logits_NCHW = network(torch.from_numpy(image).permute(2, 0, 1)[None])
            kept = label != 255
            np.add.at(matrix, (label[kept], logits_NCHW[0].argmax(0).numpy()[kept]), 1)
        matrices[output_stride] = matrix
    with np.load(folder / "counts.npz") as counts:
        found = counts["confusion"]
    assert np.abs(found - matrices[8]).sum() <= 4  # rounding of other memory layouts
    assert np.abs(found - matrices[16]).sum() > 40
    assert read_json(folder / "result.json")["scored"]["checkpoint"] == "last"  # type: ignore[index]
