"""What is handed to sbatch when arrays are several: their order, and what becomes of the rest when one is refused."""

from pathlib import Path

import pytest

from segsuite.errors import SegsuiteError
from segsuite.experiment import Experiment, load
from segsuite.launch.slurm import reconcile
from segsuite.launch.slurm.arrays import Place
from segsuite.launch.slurm.profile import Profile
from segsuite.launch.slurm.queue import Task
from tests.reliability.trials import write_experiment


class Site:
    """In place of SLURM's programs: takes `most` jobs."""

    def __init__(self, most: int = 100) -> None:
        self.most, self.sent = most, list[list[str]]()

    def call(self, command: list[str]) -> str:
        if len(self.sent) == self.most:
            raise SegsuiteError("sbatch refused: Job violates accounting/QOS policy", "SLURM")
        self.sent.append(command)
        return f"{100 + len(self.sent)};cluster\n"

    def option(self, name: str) -> list[str]:
        """The values of an option of the arrays, "" where one has none."""
        arrays = [command for command in self.sent if any(word.startswith("--array=") for word in command)]
        values = [[word for word in command if word.startswith(f"--{name}=")] for command in arrays]
        return [found[0].partition("=")[2] if found else "" for found in values]


@pytest.fixture
def five(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    monkeypatch.setattr(reconcile, "largest_array", lambda: 2)
    monkeypatch.setattr(reconcile, "live_tasks", lambda *_: [])
    return load(write_experiment(tmp_path, seeds=[0, 1, 2, 3, 4]))


def submitted(
    site: Site, experiment: Experiment, monkeypatch: pytest.MonkeyPatch, **profile: int
) -> reconcile.Submission:
    monkeypatch.setattr(reconcile, "call", site.call)
    return reconcile.submit(experiment, Profile(**profile), ["report"], dry_run=False, live_code=True)


def test_without_a_throttle_arrays_start_together_and_the_report_after_all(
    five: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site()
    found = submitted(site, five, monkeypatch)
    assert site.option("array") == ["0-1", "0-1", "0-0"]
    assert site.option("dependency") == ["", "", ""]
    assert "--dependency=afterany:101:102:103" in site.sent[-1]
    assert (found.trials, found.arrays, found.report) == (5, ["101", "102", "103"], "104")


def test_a_throttle_bounds_all_arrays_together_by_one_after_the_other(
    five: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site()
    submitted(site, five, monkeypatch, throttle=2)
    assert site.option("array") == ["0-1%2", "0-1%2", "0-0%2"]
    assert site.option("dependency") == ["", "afterany:101", "afterany:102"]


def test_a_throttle_counts_what_is_queued_already(five: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place.of(five)
    table = place.new_table([[five.trials[0].id]])
    queued = Task("77", 0, place.job_name(table, "tiny"), "PENDING", "Priority", "")
    monkeypatch.setattr(reconcile, "live_tasks", lambda *_: [queued])
    site = Site()
    submitted(site, five, monkeypatch, throttle=2)
    assert site.option("dependency") == ["afterany:77", "afterany:101"]


def test_arrays_are_no_larger_than_the_profile_says(five: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    submitted(site, five, monkeypatch, array_size=1)
    assert site.option("array") == ["0-0"] * 5


def test_what_was_submitted_before_a_refusal_is_kept_and_has_its_report(
    five: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(most=2)
    sending = site.call

    def call(command: list[str]) -> str:
        if "report.sbatch" in " ".join(command):
            site.most = 3
        return sending(command)

    monkeypatch.setattr(site, "call", call)
    found = submitted(site, five, monkeypatch)
    assert found.trials == 4
    assert found.refused is not None
    assert "QOS policy" in found.refused.what
    assert "--dependency=afterany:101:102" in site.sent[-1]


def test_without_its_report_a_submission_stands(five: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    found = submitted(Site(most=3), five, monkeypatch)
    assert (found.trials, found.arrays, found.report) == (5, ["101", "102", "103"], None)
    assert found.refused is not None


def test_a_refusal_of_the_first_array_submits_nothing(five: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SegsuiteError, match="QOS policy"):
        submitted(Site(most=0), five, monkeypatch)
