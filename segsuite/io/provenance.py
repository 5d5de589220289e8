"""What two manifests say of code, packages and weights, in words that can be compared.

Equal words mean the same; no word means that it is not known, as of a manifest of an earlier version, and is no
difference to anything.
"""

from collections.abc import Mapping
from typing import Any

Manifest = Mapping[str, Any]


def facts(manifest: Manifest) -> dict[str, str]:
    """What is known of how an attempt was made: `code`, `weights`, `precision`, `device`, `python` and the name
    of each package -> in words.

    >>> facts({"code": {"commit": "0123456789abcdef", "dirty": True}, "packages": {"numpy": "2.4.6", "triton": None}})
    {'code': 'commit 0123456789ab with uncommitted changes', 'numpy': '2.4.6', 'triton': 'not installed'}
    """
    hardware = _mapping(manifest.get("hardware"))
    told = {
        "code": code_in_words(_mapping(manifest.get("code"))),
        "weights": weights_in_words(_mapping(manifest.get("weights"))),
        "device": str(hardware.get("device") or ""),
        "precision": str(hardware.get("precision") or ""),
        "python": str(manifest.get("python") or ""),
    }
    packages = {name: str(version or "not installed") for name, version in _mapping(manifest.get("packages")).items()}
    return {name: text for name, text in (told | packages).items() if text}


def changes(before: Manifest, after: Manifest) -> list[str]:
    """What is another in `after` than in `before`, each as "NAME: FROM before, TO now".

    >>> changes({"packages": {"numpy": "2.3.0"}}, {"packages": {"numpy": "2.4.6", "scipy": "1.16"}})
    ['numpy: 2.3.0 before, 2.4.6 now']
    """
    was, now = facts(before), facts(after)
    if same_code(_mapping(before.get("code")), _mapping(after.get("code"))):
        was.pop("code", None)
    if same_weights(_mapping(before.get("weights")), _mapping(after.get("weights"))):
        was.pop("weights", None)
    return [
        f"{name}: {text} before, {now[name]} now" for name, text in was.items() if name in now and now[name] != text
    ]


def code_key(code: Mapping[str, Any]) -> str:
    """Equal for the same code: the hash of the sources, which a commit of something else leaves; the commit where there
    is none."""
    return str(code.get("sources_sha256") or code.get("commit") or "")


def same_code(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both are the same code, as far as both tell.

    >>> same_code({"commit": "0", "sources_sha256": "a"}, {"commit": "1", "sources_sha256": "a"})
    True
    """
    for key in ("sources_sha256", "commit"):
        if one.get(key) and other.get(key):
            return bool(one[key] == other[key])
    return True


def same_weights(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both loaded the same weights, whatever the files' names."""
    return sorted(map(str, one.values())) == sorted(map(str, other.values()))


def code_in_words(code: Mapping[str, Any]) -> str:
    """
    >>> code_in_words({"commit": "0123456789abcdef", "sources_sha256": "feedfacefeedface"})
    'commit 0123456789ab, sources feedfacefeedface'
    """
    commit, sources = str(code.get("commit") or "")[:12], code.get("sources_sha256")
    words = [f"commit {commit}" + (" with uncommitted changes" if code.get("dirty") else "")] if commit else []
    return ", ".join([*words, *([f"sources {sources}"] if sources else [])])


def weights_in_words(weights: Mapping[str, Any]) -> str:
    """
    >>> weights_in_words({"resnet18.safetensors": "0123456789abcdef0123"})
    'resnet18.safetensors with SHA-256 0123456789ab...'
    """
    return ", ".join(f"{name} with SHA-256 {str(digest)[:12]}..." for name, digest in weights.items())


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
