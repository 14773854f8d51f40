"""Particles on several devices: one cloud in blocks, resampled as a whole, with the outcome of one device."""

from probinf.scale._choose import ShardedChoose as ShardedChoose
from probinf.scale._lanes import Layout as Layout
from probinf.scale._resample import ShardedResample as ShardedResample
from probinf.scale._run import fetch as fetch
from probinf.scale._run import sample_sharded as sample_sharded
from probinf.scale._sharded import sharded as sharded
