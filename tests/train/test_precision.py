"""segsuite.train.precision: what `auto` means on which processor."""

import json
import os
from pathlib import Path

import pytest
import torch

from segsuite.train import precision


@pytest.mark.parametrize("name", ["cpu", "cuda", "mps"])
def test_a_named_device_is_itself(name: str) -> None:
    assert precision.resolve_device(name) == name


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_auto_is_the_fastest_device_there_is(
    cuda: bool, mps: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert precision.resolve_device("auto") == expected


@pytest.mark.parametrize("name", ["fp32", "bf16-mixed", "fp16-mixed"])
def test_a_named_precision_is_itself_on_any_device(name: str) -> None:
    assert {precision.resolve_precision(name, device) for device in ("cpu", "cuda", "mps")} == {name}


@pytest.mark.parametrize(("multiplies", "expected"), [(True, "bf16-mixed"), (False, "fp32")])
def test_auto_is_bf16_on_a_cpu_only_where_it_multiplies_bf16(
    multiplies: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "cpu_multiplies_bf16", lambda: multiplies)
    assert precision.resolve_precision("auto", "cpu") == expected
    assert precision.resolve_precision("auto", "mps") == "fp32"


@pytest.mark.parametrize(("capability", "expected"), [((8, 0), "bf16-mixed"), ((7, 5), "fp16-mixed")])
def test_auto_is_bf16_on_cuda_from_compute_capability_8(
    capability: tuple[int, int], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert precision.resolve_precision("auto", "cuda") == expected


@pytest.mark.parametrize("found", [{"amx_bf16": True}, {"avx512_bf16": True}, {"avx2": True, "amx_bf16": False}, {}])
def test_amx_and_avx512_bf16_multiply_bf16_and_avx2_does_not(
    found: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    assert precision.cpu_multiplies_bf16() == any(found.get(name, False) for name in ("amx_bf16", "avx512_bf16"))


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="/proc/cpuinfo is Linux's")
def test_without_torchs_list_the_flags_of_linux_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(torch.cpu, "get_capabilities"):
        pytest.skip("this torch has no list to compare with")
    expected = precision.cpu_multiplies_bf16()
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert precision.cpu_multiplies_bf16() == expected


def test_the_hardware_is_json() -> None:
    found = json.loads(json.dumps(precision.hardware("cpu")))
    assert found["device"] == "cpu"
    assert found["threads"] == torch.get_num_threads()


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="the machine's memory cannot be told")
def test_peak_memory_is_in_bytes() -> None:
    peak = precision.peak_memory_bytes("cpu")
    assert peak is not None
    assert 50e6 < peak < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert precision.peak_memory_bytes("mps") is None


@pytest.mark.parametrize(
    ("limit", "allowed"),
    [("", True), ("AVX512_CORE_AMX", True), ("avx512_core_bf16", True), ("AVX512_CORE", False), ("AVX2", False)],
)
def test_bf16_is_not_chosen_where_the_library_of_convolutions_may_not_use_it(
    limit: str, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True, "l2": 7}, raising=False)
    assert precision.cpu_multiplies_bf16() == allowed
    assert not precision.cpu_has_amx()
