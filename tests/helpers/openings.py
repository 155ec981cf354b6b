"""Datasets that cannot be opened."""

import pytest

from utils.datasets.dataset import open_dataset
from utils.system.errors import UserError


def assert_stops(root, split, need, *parts):
    """Opening raises one line that has all of `parts`."""
    with pytest.raises(UserError) as caught:
        open_dataset(root, split, need)
    text = str(caught.value)
    assert "\n" not in text
    for part in parts:
        assert str(part) in text, text
