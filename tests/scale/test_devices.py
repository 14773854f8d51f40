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


# One test, since two workers of one run would each start the eight devices.
@pytest.mark.slow
def test_eight_devices_do_what_one_does():
    found = finish(start("on_eight_devices", 8), 600)

    # Values, weights, evidence, ancestors, every other info, log_z and status are equal to the bit; seeds are fixed.
    agreement = found["agreement"]
    assert len(agreement) == 7
    assert {name: row["differences"] for name, row in agreement.items() if row["differences"]} == {}

    # Each device holds its eighth of the lanes, but for the one lane that a choice leaves.
    blocks = {name: row["largest block"] for name, row in agreement.items()}
    assert blocks.pop(ENDS_WITH_ONE_LANE) == 1.0
    assert set(blocks.values()) == {1 / 8}

    # The ring moves any ancestry.
    assert found["ring"] == 0

    # The weights and twists of all lanes are gathered, a block of values passes, and a few numbers are added up:
    # potentials and lanes that are counted, and what the status says of the last weights. Values are never gathered.
    assert found["traffic"]["sends"] == [
        ["all-gather", "f32[16384]"],
        ["all-reduce", "(f32[], f32[], f32[], f32[])"],
        ["all-reduce", "(s32[], s32[])"],
        ["all-reduce", "(s32[], s32[], s32[])"],
        ["collective-permute", "f32[2048,64]"],
    ]

    # A device needs an eighth of the memory, and a few vectors of N weights while it resamples.
    one, many = found["traffic"]["bytes"]
    assert many < one / 8 + 20 * 4 * 16384
    assert many < one / 6

    # Lanes along one of two axes; and planted: where devices resample by themselves nearly every ancestor differs.
    assert found["two_axes_and_a_planted_bug"]["right"] == {}
    assert found["two_axes_and_a_planted_bug"]["wrong"]["[1]"][0] > 900

    # Lanes that do not divide are refused with numbers that do.
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
        first, second = (finish(process, 300) for process in processes)
    finally:
        for process in processes:
            process.kill()
    assert first.pop("differences") == {}
    assert first["devices"] == [2, 4] and first["spans"]
    assert first == second
