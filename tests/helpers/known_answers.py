"""Known weights and inputs as tensors, and how close to a known answer is close enough."""

import numpy as np
import torch
from golden.fill import fill_array, known_input


def fill(shapes: dict) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.asarray(fill_array(name, tuple(shape)))) for name, shape in shapes.items()}


def known(tag: str, *shape: int) -> torch.Tensor:
    return torch.from_numpy(known_input(tag, shape))


def assert_close(ours: torch.Tensor, expected: np.ndarray, tolerance: float = 1e-4):
    """Within `tolerance` of the expected values' range."""
    assert ours.shape == expected.shape
    assert np.abs(ours.detach().numpy() - expected).max() <= tolerance * np.ptp(expected)
