"""What networks have that give a map for every frame of their clip."""

from torch import Tensor, nn


class EveryFrameNetwork(nn.Module):
    """Base of the networks over clips that segment every frame, not the last alone.

    A subclass sets `num_frames` T and `multiple`, of which H and W must be multiples, and defines `frames`.
    """

    in_channels = 1
    num_frames: int
    multiple = 1

    def frames(self, clip: Tensor, newest: int | None = None) -> Tensor:
        """Segment every frame.

        Args:
            clip: (B, T, H, W) float32, normalised.
            newest: only so many of the last frames; what they do not need is not computed, but in training mode, where
                batch statistics are those of all frames.

        Returns:
            Logits (B, T, H, W), or (B, newest, H, W), float32.

        Raises:
            ValueError: any other shape.
        """
        raise NotImplementedError

    def forward(self, clip: Tensor, every_frame: bool = False) -> Tensor:
        """Segment the last frame, or with `every_frame` all of them, as for losses over the whole clip.

        Args:
            clip: as of `frames`.
            every_frame: whether (B, T, H, W) is wanted.

        Returns:
            Logits (B, 1, H, W) or (B, T, H, W), float32.

        Raises:
            ValueError: any other shape.
        """
        return self.frames(clip, None if every_frame else 1)
