"""What trainings leave, compared to the bit: checkpoints and logs."""
import torch

TIMES = {"seconds", "waited", "elapsed", "elapsed_s", "clips_per_s", "data_s"}


def same(first, second, at=""):
    """Raise where two nested values differ, apart from times."""
    assert type(first) is type(second), at
    if isinstance(first, dict):
        assert first.keys() == second.keys(), at
        for name in first:
            if name not in TIMES:
                same(first[name], second[name], f"{at}/{name}")
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), at
        for i, pair in enumerate(zip(first, second, strict=True)):
            same(*pair, f"{at}/{i}")
    elif isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype and torch.equal(first, second), at
    else:
        assert first == second or first != first and second != second, f"{at}: {first} and {second}"
