"""Which finished trials saw other data than those that they would be averaged with: they are pooled with none."""

from collections.abc import Iterable, Mapping
from typing import Any

from segsuite.config import TrialSettings
from segsuite.datasets.fingerprints import same_data

OTHER_DATA = "saw other images or masks than the trials that it belongs to: in no mean and in no comparison"


def of_other_data(finished: Iterable[tuple[str, TrialSettings, Mapping[str, Any]]]) -> frozenset[str]:
    """Ids of the trials whose data are not those that most trials with the same data settings saw; where as many saw
    one as the other, not those of the latest trial. `finished`: id, settings and result of each."""
    groups: dict[tuple[Any, ...], list[tuple[str, str, float]]] = {}
    for identifier, settings, result in finished:
        fingerprint = result.get("scored", {}).get("dataset_fingerprint")
        if fingerprint:
            key = (settings.data.model_dump_json(), settings.evaluation.split, settings.train.overfit_batches > 0)
            ended = float(result.get("finished") or 0.0)
            groups.setdefault(key, []).append((identifier, str(fingerprint), ended))
    return frozenset(identifier for group in groups.values() for identifier in _others(group))


def _others(group: list[tuple[str, str, float]]) -> Iterable[str]:
    def rank(fingerprint: str) -> tuple[int, float]:
        same = [ended for _, other, ended in group if same_data(fingerprint, other)]
        return len(same), max(same)

    kept = max((fingerprint for _, fingerprint, _ in group), key=rank)
    return (identifier for identifier, fingerprint, _ in group if not same_data(fingerprint, kept))
