"""What networks have that can be fed frame by frame (`nets.inference.streaming`)."""

from collections.abc import Sequence

from torch import Tensor, nn


class StreamableNetwork(nn.Module):
    """Base of the networks over clips to which each frame contributes by itself.

    A subclass makes its `forward` over whole clips of `observe` and `decide` too, so that both give the same numbers,
    and sets `in_channels` C, `num_frames` T and `multiple`, of which H and W must be multiples.
    """

    in_channels: int
    num_frames: int
    multiple: int
    jumps = False  # whether rounding may change single pixels by more than itself, as where the larger of equals counts

    def observe(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Frames (N, C, H, W) → what each contributes to every clip that it is in, (N, …) tensors."""
        raise NotImplementedError

    def decide(self, key: Tensor, window: Sequence[tuple[Tensor, ...]]) -> Tensor:
        """The output for the clips that end with the key frames.

        Args:
            key: key frames (N, C, H, W).
            window: what the T frames that end with them contributed, (N, …) tensors, the key frame's last.

        Returns:
            (N, …).
        """
        raise NotImplementedError
