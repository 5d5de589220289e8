"""segsuite.launch.slots: how GPUs and cores are shared."""

from pathlib import Path

import pytest

from segsuite.errors import ConfigError
from segsuite.launch import slots as slots_module
from segsuite.launch.slots import BYTES_PER_WORKER, Slot, listed_gpus, slots, visible_gpus, workers_by_default

LISTING = """\
GPU 0: NVIDIA A100 (UUID: GPU-aaaa)
  MIG 3g.20gb     Device  0: (UUID: MIG-one)
  MIG 3g.20gb     Device  1: (UUID: MIG-two)
GPU 1: NVIDIA A100 (UUID: GPU-bbbb)
"""


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots_module, "cores", lambda: 8)
    monkeypatch.setattr(slots_module, "available_memory", lambda: 5 * BYTES_PER_WORKER)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture
def three_gpus(eight_cores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b,GPU-c")


def devices(found: list[Slot]) -> list[str | None]:
    return [slot.device for slot in found]


@pytest.mark.usefixtures("eight_cores")
def test_one_worker_has_the_whole_machine() -> None:
    assert slots(1, 1, trials=9) == [Slot()]
    assert Slot().environment() == {}


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize(("workers", "threads"), [(2, 4), (3, 2), (8, 1), (20, 1)])
def test_workers_share_the_cores(workers: int, threads: int) -> None:
    found = slots(workers, 1, trials=100)
    assert len(found) == workers
    expected = {"OMP_NUM_THREADS": str(threads), "SEGSUITE_SIDE_BY_SIDE": str(workers)}
    assert all(slot.environment() == expected for slot in found)


@pytest.mark.usefixtures("eight_cores")
def test_there_are_not_more_workers_than_trials_and_those_have_more_threads() -> None:
    assert [slot.threads for slot in slots(8, 1, trials=2)] == [4, 4]
    assert slots(8, 1, trials=0) == [Slot()]


@pytest.mark.usefixtures("eight_cores")
def test_auto_without_a_gpu_is_bounded_by_cores_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(slots(None, 1, trials=100)) == 5
    monkeypatch.setattr(slots_module, "available_memory", lambda: 100 * BYTES_PER_WORKER)
    assert len(slots(None, 1, trials=100)) == 8
    monkeypatch.setattr(slots_module, "available_memory", lambda: 0)
    assert slots(None, 1, trials=100) == [Slot()]


@pytest.mark.usefixtures("eight_cores")
def test_auto_leaves_room_for_trials_that_want_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots_module, "available_memory", lambda: 100 * BYTES_PER_WORKER)
    assert len(slots(None, 1, trials=100, threads_each=3)) == 2
    assert slots(None, 1, trials=100, threads_each=99) == [Slot()]


@pytest.mark.usefixtures("eight_cores")
def test_by_default_trials_run_side_by_side_on_a_cpu_and_one_at_a_time_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slots_module.sys, "platform", "linux")
    assert workers_by_default(wants_gpu=True) is None
    assert workers_by_default(wants_gpu=False) is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert workers_by_default(wants_gpu=True) == 1
    assert workers_by_default(wants_gpu=False) is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(slots_module.sys, "platform", "darwin")  # its GPU is found by the trial
    assert workers_by_default(wants_gpu=True) == 1


@pytest.mark.usefixtures("three_gpus")
def test_auto_is_per_device_trials_on_each_gpu() -> None:
    assert devices(slots(None, 1, trials=100)) == ["GPU-a", "GPU-b", "GPU-c"]
    twice = slots(None, 2, trials=100)
    assert devices(twice) == ["GPU-a", "GPU-b", "GPU-c"] * 2
    assert twice[0].environment() == {
        "CUDA_VISIBLE_DEVICES": "GPU-a",
        "OMP_NUM_THREADS": "1",
        "SEGSUITE_SIDE_BY_SIDE": "2",
    }


@pytest.mark.usefixtures("three_gpus")
def test_fewer_workers_than_gpus_have_one_each() -> None:
    assert devices(slots(2, 1, trials=100)) == ["GPU-a", "GPU-b"]


@pytest.mark.usefixtures("three_gpus")
def test_more_workers_than_the_gpus_hold_are_refused() -> None:
    with pytest.raises(ConfigError, match="4 workers do not fit on 3 GPUs with 1 on each"):
        slots(4, 1, trials=100)
    assert len(slots(6, 2, trials=100)) == 6


@pytest.mark.usefixtures("three_gpus")
def test_trials_on_the_cpu_leave_the_gpus_alone() -> None:
    assert devices(slots(2, 1, trials=100, wants_gpu=False)) == [None, None]


@pytest.mark.parametrize(
    ("given", "seen"),
    [("", []), ("-1", []), ("0,1", ["0", "1"]), ("2, GPU-x", ["2", "GPU-x"]), ("0,-1,1", ["0"]), ("0,,1", ["0"])],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(given: str, seen: list[str]) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": given}) == seen


def test_gpus_are_named_by_uuid_and_mig_instances_replace_theirs() -> None:
    assert listed_gpus(LISTING.splitlines()) == ["MIG-one", "MIG-two", "GPU-bbbb"]


def test_gpus_are_listed_by_the_driver_where_nothing_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n[ \"$1\" = -L ] && cat <<'END'\n{LISTING}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert visible_gpus({}) == ["MIG-one", "MIG-two", "GPU-bbbb"]
    program.write_text("#!/bin/sh\nexit 9\n")
    assert visible_gpus({}) == []
