"""segsuite.train.samples: a prediction a chosen image, under a name of its own."""

from pathlib import Path

import numpy as np

from segsuite.datasets.image_io import read_mask
from segsuite.train.samples import write_predictions
from tests.train.tiny import Noise, module, train_settings

NAMES = ("a/b", "a-b", "a%2Fb", "x" * 245, "x" * 244 + "y", "\u00e9" * 150)


class Named(Noise):
    """Images with names that a file system does not take as they are, or that look alike."""

    def sample_name(self, index: int) -> str:
        return NAMES[index]


def test_every_image_has_a_file_of_its_own_whatever_its_name(tmp_path: Path) -> None:
    data, trained = Named(len(NAMES)), module(train_settings(), images=len(NAMES))
    write_predictions(trained.network, data, range(len(NAMES)), "cpu", "fp32", tmp_path)
    files = sorted(tmp_path.iterdir())
    assert len(files) == len(NAMES)
    assert {"a%2Fb.png", "a-b.png"} <= {file.name for file in files}
    assert all(read_mask(file).shape == np.asarray(data.read(0)[1]).shape for file in files)
