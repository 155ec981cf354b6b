"""Fixtures that several test files share."""

import json
import logging
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from scripts import ROOT

from utils.system.notices import forget_warnings

FOLDERS = (ROOT / "tests" / "golden", ROOT.parent / "shared" / "golden")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Small tensors gain nothing from threads, and lose much where other processes use the cores too."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_earlier_warnings():
    """Every test begins like a process of its own, which has warned of nothing."""
    forget_warnings()


@pytest.fixture(scope="module")
def silent_exporter() -> Iterator[None]:
    """PyTorch's exporter logs every step it takes, which pytest would keep."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="session")
def golden() -> Callable[[str], dict]:
    """Reads a file of known answers by name: `.npz` → {name: array}, `.json` → its content.

    Small ones lie in tests/golden; the large ones, in a folder beside the checkout, are not part of the repository, and
    a test that asks for an absent one is skipped.
    """

    def load(name: str) -> dict:
        path = next((folder / name for folder in FOLDERS if (folder / name).is_file()), None)
        if path is None:
            pytest.skip(f"known answers {name} are not on this machine")
        if path.suffix == ".json":
            return json.loads(path.read_text())
        with np.load(path) as arrays:
            return dict(arrays)

    return load
