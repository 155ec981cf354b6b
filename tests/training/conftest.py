"""Fixtures of the tests of training."""

from collections.abc import Iterator

import pytest

from utils.render.curves import plot_history
from utils.training import run_log


@pytest.fixture(scope="module", autouse=True)
def no_curves() -> Iterator[None]:
    """Trainings draw no curves, which takes half a second an epoch, except in a test that asks for `curves`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_log, "plot_history", lambda *_: None)
        yield


@pytest.fixture
def curves(monkeypatch) -> None:
    """Trainings draw their curves."""
    monkeypatch.setattr(run_log, "plot_history", plot_history)
