"""The vendored bundle is the one that its README names."""

import hashlib
import re

from segsuite.report.page import FOLDER, PLOTLY


def test_the_bundle_has_the_hash_of_its_readme() -> None:
    readme = (FOLDER / "static" / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(PLOTLY.read_bytes()).hexdigest() in readme
    assert str(PLOTLY.stat().st_size) in readme


def test_the_bundle_has_its_licence_beside_it() -> None:
    assert "MIT License" in (FOLDER / "static" / "LICENSE").read_text(encoding="utf-8")


def test_no_script_or_style_ends_its_element() -> None:
    for path in (PLOTLY, *(FOLDER / "templates").glob("*.[jc]s*")):
        assert not re.search(r"</(script|style)|<!--", path.read_text(encoding="utf-8"), re.IGNORECASE), path.name


def test_what_the_policy_forbids_is_in_no_script_of_ours() -> None:
    for path in (FOLDER / "templates").glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert "innerHTML" not in text
        assert "eval(" not in text
