"""The methods box: which numbers are shown, and everything that is needed to make them again."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from segsuite import __version__
from segsuite.report.answers import listed
from segsuite.report.sections.base import Material
from segsuite.stats import TWO_WAY

SHOWN_PACKAGES = 12


def methods(material: Material) -> list[tuple[str, str]]:
    """Name and text of each fact about how the experiment was made, from the manifests of its trials."""
    gathered = material.gathered
    manifests = [attempt for trial in gathered.trials for attempt in trial.attempts]
    facts = [
        ("Command", f"segsuite run {gathered.arguments}"),
        ("This page", f"segsuite report {gathered.arguments}"),
        ("Seeds", ", ".join(map(str, gathered.seeds))),
        ("Baseline", gathered.baseline or "none was named"),
        ("Units resampled", _units(material)),
    ]
    facts += [
        ("Commit", _all(_commit(manifest.get("code", {})) for manifest in manifests)),
        ("Hash of the sources", _all(manifest.get("code", {}).get("sources_sha256") for manifest in manifests)),
        ("Data fingerprint", _all(manifest.get("dataset_fingerprint") for manifest in manifests)),
        ("Weights", _all(_pairs(manifest.get("weights")) for manifest in manifests)),
        ("Hardware", _all(_pairs(manifest.get("hardware")) for manifest in manifests)),
        ("Python", _all(manifest.get("python") for manifest in manifests)),
        ("Packages", _packages(manifests)),
        ("Report by", f"segsuite {__version__}"),
    ]
    return [(name, text) for name, text in facts if text]


def _units(material: Material) -> str:
    found = [one for one in material.answers.comparisons.get("miou", ()) if one.difference is not None]
    if not found:
        return ""
    one = found[0]
    kind = "" if any(other.kind == TWO_WAY for other in found) else f" ({one.kind})"
    return f"{one.units}, each: {one.unit}{kind}"


def _packages(manifests: Sequence[Any]) -> str:
    versions: dict[str, dict[str, None]] = {}
    for manifest in manifests:
        for name, version in dict(manifest.get("packages") or {}).items():
            if version:
                versions.setdefault(str(name), {})[str(version)] = None
    return ", ".join(f"{name} {' and '.join(found)}" for name, found in list(versions.items())[:SHOWN_PACKAGES])


def _pairs(values: Any) -> str:
    return ", ".join(f"{name}: {value}" for name, value in values.items()) if isinstance(values, dict) else ""


def _all(values: Iterable[Any]) -> str:
    """Every distinct value; several are no error here, the notices say so."""
    return listed(list(dict.fromkeys(str(value) for value in values if value)) or [""])


def _commit(code: Mapping[str, Any]) -> str | None:
    """
    >>> _commit({"commit": "0123", "dirty": True}), _commit({"commit": "0123"})
    ('0123 with uncommitted changes', '0123')
    """
    commit = code.get("commit")
    return f"{commit} with uncommitted changes" if commit and code.get("dirty") else commit
