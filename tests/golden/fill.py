"""Deterministic parameter values, derived from a parameter's name alone.

`fill_array(name, shape)` gives the same float32 array on every machine, so a
network can be set to known weights without shipping them: walk its state dict
in the *reference naming* (see the `*_params.json` files), fill every entry,
load it, and compare the network's outputs with the stored ones.

Rules, by the entry's last name part and rank:
  num_batches_tracked           -> 0 (int64)
  running_mean                  -> N(0, 0.1)
  running_var                   -> U(0.5, 1.5)
  rank >= 2 (conv / linear)     -> N(0, sqrt(1.3 / fan_in))
  rank 1 `weight`               -> U(0.8, 1.2)   (a norm layer's scale)
  other rank 1 (biases)         -> N(0, 0.05)
  any entry of exactly 1 number -> 0.2 + N(0, 0.02)   (checked before the two rank-1 rules)
"""

import zlib

import numpy as np


def fill_array(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the known value of one state-dict entry (float32, or int64 for counters)."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    last = name.rsplit(".", 1)[-1]
    if last == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if last == "running_mean":
        value = rng.normal(0.0, 0.1, shape)
    elif last == "running_var":
        value = rng.uniform(0.5, 1.5, shape)
    elif len(shape) >= 2:
        fan_in = int(np.prod(shape[1:]))
        value = rng.normal(0.0, 1.0, shape) * np.sqrt(1.3 / fan_in)
    elif int(np.prod(shape)) == 1:
        value = 0.2 + rng.normal(0.0, 0.02, shape)
    elif last == "weight":
        value = rng.uniform(0.8, 1.2, shape)
    else:
        value = rng.normal(0.0, 0.05, shape)
    return value.astype(np.float32)


def known_input(tag: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the standard-normal float32 input that a golden file calls `tag`."""
    rng = np.random.default_rng(zlib.crc32(f"input:{tag}".encode()))
    return rng.standard_normal(shape).astype(np.float32)
