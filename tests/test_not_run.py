"""The line that says what was not run for lack of what."""

from tests.not_run import not_run


def test_tests_are_counted_by_what_they_lack() -> None:
    lacks = ["Skipped: CamVid is not there (searched: a, b)", "Skipped: CamVid is not there (searched: a, b)"]
    line = not_run([*lacks, "Skipped: needs a CUDA device"])
    assert line == "not run: 2 tests (CamVid is not there), 1 test (needs a CUDA device)"
