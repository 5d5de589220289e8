"""Settings and fixtures of all tests; the environment is set before anything that reads it is imported."""

import os
import random
import shutil
import signal
import tempfile
from pathlib import Path

# Two workers of a small machine at most: more threads make small tensors slower and timings noisy.
os.environ.setdefault("OMP_NUM_THREADS", "2")
# Nothing is downloaded, looked up or reported while tests run.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ["WANDB_MODE"] = "disabled"
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="segsuite-tests-")
# Triton reads it when a kernel is defined: where there is no GPU its interpreter runs them on the CPU.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")

import pytest
from hypothesis import HealthCheck, settings

from tests.not_run import not_run

REPOSITORY = Path(__file__).resolve().parents[1]

# A few tests draw the moment of a kill, anew in each session; the header of a session shows its seed.
SEED = int(os.environ.get("SEGSUITE_TEST_SEED") or random.SystemRandom().randrange(2**32))

# No deadline: a shared machine may be slow. Derandomised: a test fails because of a change, not by chance.
settings.register_profile("segsuite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("segsuite")
# A shell's background job ignores Ctrl-C, and so would every program that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Quick tests first, those marked slow last; the order within the two groups stays. Those marked cuda are skipped
    where there is no such device."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
    on_cuda = [item for item in items if item.get_closest_marker("cuda") is not None]
    if on_cuda and not _has_cuda():
        for item in on_cuda:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


def pytest_report_header() -> str:
    """What repeats the tests that draw."""
    return f"SEGSUITE_TEST_SEED={SEED} repeats what tests draw by chance"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line says what was not run, and for lack of what: a public clone has neither weights nor photographs."""
    reasons = [str(report.longrepr[2]) for report in terminalreporter.getreports("skipped")]
    if reasons:
        terminalreporter.write_line(not_run(reasons))


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Draws that differ between sessions and tests, and that SEGSUITE_TEST_SEED repeats."""
    return random.Random(f"{SEED} {request.node.nodeid}")


def pytest_unconfigure() -> None:
    """Label counts and decoded images of the tests go away with them."""
    shutil.rmtree(os.environ["XDG_CACHE_HOME"], ignore_errors=True)


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def first_existing(candidates: list[Path], what: str) -> Path:
    """The first of `candidates` that exists; skips the test with the places searched when none does."""
    for candidate in candidates:
        if candidate.exists():
            return candidate
    searched = ", ".join(os.path.relpath(candidate, REPOSITORY) for candidate in candidates)
    pytest.skip(f"{what} is not there (searched: {searched})")


@pytest.fixture(scope="session")
def camvid_root() -> Path:
    """Folder of the real CamVid images (360x480; at least train and val), or the test is skipped."""
    return first_existing([REPOSITORY / "data" / "camvid", REPOSITORY.parent / "shared" / "data" / "camvid"], "CamVid")


@pytest.fixture(scope="session")
def lite0_weights() -> Path:
    """File with the real ImageNet weights of timm's tf_efficientnet_lite0, or the test is skipped."""
    name = "tf_efficientnet_lite0.safetensors"
    named = [Path(folder) for folder in os.environ.get("SEGSUITE_WEIGHTS", "").split(os.pathsep) if folder]
    usual = [REPOSITORY / "data" / "weights", REPOSITORY.parent / "shared" / "weights"]
    return first_existing([folder / name for folder in [*named, *usual]], name)
