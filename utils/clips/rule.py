"""The clip rule: which frames make a clip, the same for training, testing and streaming."""

from __future__ import annotations

from collections.abc import Sequence


def run_starts(numbers: Sequence[int]) -> list[int]:
    """For every frame of a sequence, the index at which its run of consecutive frame numbers begins.

    Args:
        numbers: the frame numbers of one sequence, ascending.

    Raises:
        ValueError: a number does not exceed the one before it.
    """
    starts: list[int] = []
    for i, number in enumerate(numbers):
        if i and number <= numbers[i - 1]:
            raise ValueError(f"frame numbers must ascend: {number} follows {numbers[i - 1]}")
        starts.append(starts[-1] if i and number == numbers[i - 1] + 1 else i)
    return starts


def clip_indices(
    numbers: Sequence[int], index: int, num_frames: int, start: int | None = None, step: int = 1
) -> list[int]:
    """The clip rule: `num_frames` frames, `step` apart, that end at the key frame `index`.

    A clip never crosses a gap in the frame numbers: where the run of consecutive frames is too short, its first frame
    is repeated in front, as at a sequence's start.

    Args:
        numbers: the frame numbers of one sequence, ascending.
        index: position of the key frame in `numbers`.
        num_frames: T, at least 1.
        start: where the key frame's run begins, if known already (from `run_starts`).
        step: 1 for consecutive frames; with more, slow motion shows in as few frames.

    Returns:
        T positions in `numbers`, oldest first, the key frame last.
    """
    if start is None:
        start = run_starts(numbers[: index + 1])[-1]
    return [max(start, index - age * step) for age in range(num_frames - 1, -1, -1)]
