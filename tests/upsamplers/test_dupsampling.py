"""DUpsampling: the head against loops, and its start from labels against numpy's SVD."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from segsuite.config import Optimizer
from segsuite.datasets.camvid import CamVid
from segsuite.errors import ConfigError
from segsuite.train.optimizers import build_optimizer
from segsuite.upsamplers.dupsampling import DUpsampling, label_code

Mask = NDArray[np.uint8]


def random_masks(count: int = 4, num_classes: int = 3, void: bool = True) -> list[Mask]:
    """Masks of different sizes, no multiple of 4, blocks and single pixels, some void."""
    generator = np.random.default_rng(0)
    masks = []
    for i in range(count):
        coarse = generator.integers(0, num_classes, (5, 4)).repeat(3 + i % 2, axis=0).repeat(5, axis=1)
        noisy = generator.random(coarse.shape) < 0.1
        mask = np.where(noisy, generator.integers(0, num_classes, coarse.shape), coarse)
        mask[generator.random(coarse.shape) < (0.1 if void else 0)] = 255
        masks.append(mask.astype(np.uint8))
    return masks


def repeating_masks() -> list[Mask]:
    """Two masks of five kinds of 4x4 patch, each often: uniform in each of 3 classes, and two with edges."""
    uniform = [np.full((4, 4), c) for c in range(3)]
    kinds = [*uniform, np.repeat([[0, 0, 1, 2]], 4, axis=0), np.repeat([[1], [2], [2], [2]], 4, axis=1)]
    chosen = np.random.default_rng(0).choice(5, (2, 6, 7), p=[0.5, 0.2, 0.1, 0.15, 0.05])
    return [np.block([[kinds[k] for k in row] for row in rows]).astype(np.uint8) for rows in chosen]


def patches_by_loops(masks: list[Mask], num_classes: int, factor: int) -> NDArray[np.float64]:
    """One-hot label patches as rows, entry (class, row, column); zero where void or outside the mask."""
    rows = []
    for mask in masks:
        for top in range(0, mask.shape[0], factor):
            for left in range(0, mask.shape[1], factor):
                patch = np.zeros((num_classes, factor, factor))
                for i in range(top, min(top + factor, mask.shape[0])):
                    for j in range(left, min(left + factor, mask.shape[1])):
                        if mask[i, j] != 255:
                            patch[mask[i, j], i - top, j - left] = 1
                rows.append(patch.ravel())
    return np.stack(rows)


def squared_error(patches_KD: NDArray[np.float64], decode_DC: NDArray[np.float64]) -> float:
    """Sum of |t - W P t|^2 with the best P for this W."""
    projection_DD = decode_DC @ np.linalg.pinv(decode_DC)
    return float(((patches_KD - patches_KD @ projection_DD) ** 2).sum())


@pytest.mark.parametrize(("factor", "height_width"), [(2, (3, 4)), (3, (1, 2)), (8, (2, 1))])
def test_output_equals_the_loops(factor: int, height_width: tuple[int, int]) -> None:
    module, (height, width) = DUpsampling(3, 2, factor).double(), height_width
    torch.nn.init.constant_(module.log_temperature, 0.7)
    x_NCHW = torch.randn(2, 3, height, width, dtype=torch.float64)
    expected_NCHW = torch.empty(2, 2, height * factor, width * factor, dtype=torch.float64)
    with torch.no_grad():
        for c in range(2):
            for i in range(height * factor):
                for j in range(width * factor):
                    row = module.decode.weight[c * factor**2 + i % factor * factor + j % factor, :, 0, 0]
                    patch_value_N = x_NCHW[:, :, i // factor, j // factor] @ row
                    expected_NCHW[:, c, i, j] = patch_value_N / np.exp(0.7)
        torch.testing.assert_close(module(x_NCHW), expected_NCHW)


@pytest.mark.parametrize("code_size", [1, 3, 20])
@pytest.mark.parametrize("masks", [random_masks(), repeating_masks()], ids=["all differ", "many equal"])
def test_code_is_as_good_as_the_svd(masks: list[Mask], code_size: int) -> None:
    patches_KD = patches_by_loops(masks, 3, 4)
    decode_DC, encode_CD = label_code(masks, 3, 4, code_size)
    error = ((patches_KD - patches_KD @ encode_CD.T @ decode_DC.T) ** 2).sum()
    singular = np.linalg.svd(patches_KD, compute_uv=False)
    assert error == pytest.approx((singular[code_size:] ** 2).sum(), rel=1e-9)


def test_columns_are_the_right_singular_vectors() -> None:
    masks = random_masks()
    patches_KD = patches_by_loops(masks, 3, 4)
    decode_DC, _ = label_code(masks, 3, 4, 4)
    _, singular, vectors = np.linalg.svd(patches_KD)
    assert (singular[:4] / singular[1:5] > 1.001).all(), "a tie would leave the vectors open"
    np.testing.assert_allclose(np.abs(vectors[:4] @ decode_DC), np.eye(4), atol=1e-9)


@pytest.mark.parametrize("code_size", [5, 9, 60])
def test_patches_of_a_small_subspace_are_recovered_exactly(code_size: int) -> None:
    patches_KD = patches_by_loops(repeating_masks(), 3, 4)
    decode_DC, encode_CD = label_code(repeating_masks(), 3, 4, code_size)
    np.testing.assert_allclose(patches_KD @ encode_CD.T @ decode_DC.T, patches_KD, atol=1e-9)


def test_columns_beyond_the_rank_are_zero() -> None:
    decode_DC, encode_CD = label_code([np.zeros((8, 8), np.uint8), np.ones((8, 8), np.uint8)], 2, 4, 5)
    assert (np.abs(decode_DC).max(axis=0) > 0).tolist() == [True, True, False, False, False]
    assert np.array_equal(encode_CD, decode_DC.T)


def test_order_of_the_masks_does_not_matter() -> None:
    masks = random_masks()
    forward, backward = label_code(masks, 3, 4, 6), label_code(masks[::-1], 3, 4, 6)
    assert np.array_equal(forward[0], backward[0])


def test_fitted_head_turns_codes_into_their_label_patches() -> None:
    masks = [mask[:12, :20] for mask in random_masks(void=False)]
    module = DUpsampling(48, 3, 4)
    module.fit_labels(masks, 3)
    _, encode_CD = label_code(masks, 3, 4, 48)
    for mask in masks:
        codes = patches_by_loops([mask], 3, 4) @ encode_CD.T
        x_NCHW = torch.from_numpy(codes.reshape(1, 3, 5, 48)).permute(0, 3, 1, 2).float()
        logits_NCHW = module(x_NCHW)
        assert np.array_equal(logits_NCHW.argmax(dim=1)[0].numpy(), mask)
        onehot_NCHW = torch.nn.functional.one_hot(torch.from_numpy(mask).long(), 3).permute(2, 0, 1)[None].float()
        torch.testing.assert_close(logits_NCHW, onehot_NCHW, atol=1e-5, rtol=0)


def test_start_from_real_labels_beats_a_random_one(camvid_root: Path) -> None:
    dataset = CamVid("val", root=camvid_root)
    masks = [dataset.read(i)[1] for i in range(0, len(dataset), 10)]
    decode_DC, _ = label_code(masks, 11, 8, 64)
    patches_KD = patches_by_loops(masks[:2], 11, 8)
    drawn_DC = np.random.default_rng(0).normal(size=decode_DC.shape)
    energy = (patches_KD**2).sum()
    assert squared_error(patches_KD, decode_DC) < 0.05 * energy
    assert squared_error(patches_KD, drawn_DC) > 0.8 * energy


def test_weights_beyond_the_rank_learn_from_the_first_step() -> None:
    module = DUpsampling(60, 3, 4)
    module.fit_labels(random_masks(), 3)
    assert (module.decode.weight[:, 48:] == 0).all()
    module(torch.randn(2, 60, 3, 3)).logsumexp(dim=1).sum().backward()
    assert module.decode.weight.grad is not None
    assert (module.decode.weight.grad != 0).all()


def test_temperature_is_exact_under_bf16_autocast() -> None:
    module, x_NCHW = DUpsampling(16, 2), torch.randn(2, 16, 4, 4)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        before_NCHW = module(x_NCHW)
        module.log_temperature.fill_(float(np.log(1.002)))  # bf16 would round 1.002 to 1
        after_NCHW = module(x_NCHW)
    ratio = (before_NCHW.float() * after_NCHW.float()).sum() / after_NCHW.float().square().sum()
    assert ratio.item() == pytest.approx(1.002, abs=0.001)


def test_other_number_of_classes_is_an_error() -> None:
    with pytest.raises(ConfigError, match="64 output channels cannot start from labels of 11 classes"):
        DUpsampling(8, 64).fit_labels([np.zeros((4, 4), np.uint8)], 11)


def test_unknown_label_is_an_error() -> None:
    with pytest.raises(ConfigError, match="label 11 in a mask for 11 classes"):
        label_code([np.full((4, 4), 11, np.uint8)], 11, 2, 3)


def test_masks_without_labels_are_an_error() -> None:
    with pytest.raises(ConfigError, match="no pixel with a label"):
        label_code([np.full((4, 4), 255, np.uint8)], 11, 2, 3)


@pytest.mark.parametrize("factor", [0, 1])
def test_factor_below_two_is_an_error(factor: int) -> None:
    with pytest.raises(ConfigError, match=f"not by {factor}"):
        DUpsampling(2, 2, factor)


def test_cost_is_the_formula_of_the_docstring() -> None:
    module = DUpsampling(16, 11, 8)
    with FlopCounterMode(display=False) as counter:
        module(torch.randn(1, 16, 4, 4))
    assert sum(p.numel() for p in module.parameters()) == 64 * 11 * 16 + 1
    assert counter.get_total_flops() / 2 / 16 == 64 * 11 * 16


def test_the_temperature_gets_no_weight_decay() -> None:
    module = DUpsampling(4, 3)
    groups = build_optimizer(Optimizer(weight_decay=0.1), [], module.parameters()).param_groups
    (of_temperature,) = (g for g in groups if any(parameter is module.log_temperature for parameter in g["params"]))
    assert of_temperature["weight_decay"] == 0
    assert [g["weight_decay"] for g in groups if g is not of_temperature] == [0.1]
