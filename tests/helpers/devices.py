"""The GPU that tests need; `make gpu` runs these, and sets TESTS_GPU=cpu to rehearse what it can without one."""

import os

import pytest
import torch

GPU = os.environ.get("TESTS_GPU", "cuda")
_absent = not (GPU == "cpu" or torch.cuda.is_available())


def gpu(test):
    """Mark a test that needs a GPU."""
    return pytest.mark.gpu(pytest.mark.skipif(_absent, reason="no CUDA GPU on this machine")(test))
