"""Eight devices do what one does for the same key, and send no more than they must."""

import json
import os
import socket
import subprocess
import sys

import pytest

from tests.conftest import ROOT

# Code generation must not depend on the number of lanes a device has: without fused multiply-add and without vectors
# the same operations give the same bits, so that what differs would be ours. docs/scale.md has the default flags.
PLAIN = "--xla_cpu_max_isa=AVX --xla_backend_optimization_level=0"
ENDS_WITH_ONE_LANE = "Twist, While, islands, Choose"


def start(module: str, devices: int, *arguments: str) -> subprocess.Popen:
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} {PLAIN}",
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache" / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    }
    command = [sys.executable, "-m", f"tests.scale.{module}", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen, seconds: int) -> dict:
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
    assert process.returncode == 0, err
    # Libraries may print before.
    return json.loads(out.splitlines()[-1])


@pytest.fixture(scope="module")
def found() -> dict:
    return finish(start("on_eight_devices", 8), 600)


@pytest.mark.slow
def test_eight_devices_are_one_to_the_bit(found):
    # Values, weights, evidence, ancestors, every other info, log_z and status; all seeds are fixed.
    assert len(found["agreement"]) == 7
    assert {name: row["differences"] for name, row in found["agreement"].items() if row["differences"]} == {}


@pytest.mark.slow
def test_each_device_holds_its_eighth(found):
    blocks = {name: row["largest block"] for name, row in found["agreement"].items()}
    assert blocks.pop(ENDS_WITH_ONE_LANE) == 1.0
    assert set(blocks.values()) == {1 / 8}


@pytest.mark.slow
def test_the_ring_moves_any_ancestry(found):
    assert found["ring"] == 0


@pytest.mark.slow
def test_values_are_passed_on_and_never_gathered(found):
    # The weights and twists of all lanes, a block of values in passing, and counts of bad potentials.
    assert found["traffic"]["sends"] == [
        ["all-gather", "f32[16384]"],
        ["all-reduce", "pred[]"],
        ["all-reduce", "s32[]"],
        ["collective-permute", "f32[2048,64]"],
    ]


@pytest.mark.slow
def test_a_device_needs_an_eighth_of_the_memory(found):
    one, many = found["traffic"]["bytes"]
    # Beside its blocks a device holds a few vectors of N weights while it resamples.
    assert many < one / 8 + 20 * 4 * 16384
    assert many < one / 6


@pytest.mark.slow
def test_lanes_along_one_of_two_axes_and_local_resampling_is_seen(found):
    assert found["two_axes_and_a_planted_bug"]["right"] == {}
    # Nearly every lane has another ancestor where devices resample by themselves.
    assert found["two_axes_and_a_planted_bug"]["wrong"]["[1]"][0] > 900


@pytest.mark.slow
def test_lanes_that_do_not_divide_are_refused_with_numbers_that_do(found):
    assert found["refusals"] == [
        "6 particles do not divide among 8 devices: take 8",
        "20 particles do not divide among 8 devices: take 16 or 24",
    ]


@pytest.mark.slow
def test_two_processes_are_one_device_to_the_bit():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = [start("on_two_hosts", 2, str(rank), port) for rank in (0, 1)]
    try:
        results = [finish(process, 300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    same = {"devices": [2, 4], "spans": True, "ancestors": {}, "particles": {}}
    assert results == [same, same]
