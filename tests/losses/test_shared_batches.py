"""Losses of a batch that two processes share: each has the value of the whole batch, and its part of the gradient."""

import pytest
import torch

from tests.losses.cases import case_id
from tests.losses.ranks import Measured, Settings, cases, measured, on_two_ranks

pytestmark = pytest.mark.slow
every_case = pytest.mark.parametrize(
    ("index", "kind", "name", "settings"), [(index, *case) for index, case in enumerate(cases())], ids=case_id
)
Ranks = list[list[Measured]]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Ranks:
    return on_two_ranks(tmp_path_factory.mktemp("ranks"))


@every_case
def test_every_rank_has_the_value_of_the_whole_batch(
    index: int, kind: str, name: str, settings: Settings, ranks: Ranks
) -> None:
    whole = measured(kind, name, settings)
    for of_rank in ranks:
        torch.testing.assert_close(of_rank[index].value, whole.value)


@every_case
def test_the_mean_over_ranks_of_the_gradients_to_a_weight_is_that_of_the_whole_batch(
    index: int, kind: str, name: str, settings: Settings, ranks: Ranks
) -> None:
    """DistributedDataParallel takes the mean, so each rank's gradient to its logits is twice its part of the whole."""
    whole = measured(kind, name, settings)
    together = torch.cat([of_rank[index].gradient_NCHW for of_rank in ranks]) / 2
    scale = float(whole.gradient_NCHW.abs().max())
    torch.testing.assert_close(together, whole.gradient_NCHW, rtol=0, atol=2e-6 * scale)


@every_case
def test_every_rank_measures_the_norm_of_the_gradient_of_the_whole_batch(
    index: int, kind: str, name: str, settings: Settings, ranks: Ranks
) -> None:
    whole = measured(kind, name, settings)
    assert [of_rank[index].norm for of_rank in ranks] == [pytest.approx(whole.norm, rel=1e-5)] * 2
