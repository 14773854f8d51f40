"""One of two processes with two devices each, as two hosts would be; started by test_devices.py with rank and port."""

from __future__ import annotations

import json
import sys

import jax


def main(rank: int, port: int) -> dict:
    # Before anything asks for a device.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=rank, initialization_timeout=180)

    import numpy as np

    from probinf import Resample, sample
    from probinf.scale import fetch, sample_sharded
    from tests.scale.models import differences, genealogy, linear_gaussian

    program, key, mesh = linear_gaussian(2, Resample(ess=0.9)), jax.random.key(3), jax.make_mesh((4,), ("lanes",))
    values = np.zeros((512, 2), np.float32)
    many = sample_sharded(program, key, 512, mesh, values=values, record=genealogy)
    particles, info, record = fetch((many.particles, many.info, many.record))
    found = {
        "devices": [jax.local_device_count(), jax.device_count()],
        "spans": not many.particles.values.is_fully_addressable,
        "log_z": float(particles.log_z),
    }
    if rank == 0:
        one = sample(program, key, 512, values=jax.numpy.asarray(values), record=genealogy)
        mine = (one.particles, one.info, one.record, one.particles.log_z)
        found["differences"] = differences(mine, (particles, info, record, particles.log_z))
    return found


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]))))
