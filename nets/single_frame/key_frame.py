"""What the single-frame networks share: reading the key frame, and gates of pooled channels."""

from torch import Tensor, nn

from nets.blocks import ConvNormAct, check_clip


class KeyFrameNetwork(nn.Module):
    """Base of the networks that segment a clip's last frame and read nothing else.

    A subclass sets `multiple`, of which H and W must be multiples, and defines `segment`.
    """

    multiple = 1

    def segment(self, frame: Tensor) -> Tensor | list[Tensor]:
        """Key frames (B, 1, H, W) → logits (B, 1, H, W).

        A deeply supervised network in training mode: a list of such logits, each of which the criterion sees.
        """
        raise NotImplementedError

    def forward(self, clip: Tensor) -> Tensor | list[Tensor]:
        """Segment the last frame.

        Args:
            clip: (B, T, H, W) float32, normalised, of any T ≥ 1.

        Returns:
            What `segment` gives for that frame.

        Raises:
            ValueError: any other shape.
        """
        num_frames = max(1, clip.shape[1]) if clip.dim() == 4 else 1
        check_clip(clip, 1, num_frames, self.multiple)
        return self.segment(clip[:, -1:])


class PooledGate(nn.Sequential):
    """Weight of each channel from its mean: (B, C, H, W) float → (B, C, 1, 1) in (0, 1).

    mean → 1×1 conv to `inner` → BN → ReLU → 1×1 conv → BN → σ. In training the batch norms see one value of a channel
    for each sample.

    Raises:
        ValueError: a batch of one in training.
    """

    def __init__(self, channels: int, inner: int):
        super().__init__(
            nn.AdaptiveAvgPool2d(1),
            *ConvNormAct(channels, inner, 1, nn.ReLU),
            *ConvNormAct(inner, channels, 1, nn.Sigmoid),
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.shape[0] < 2:
            raise ValueError(
                "got a batch of 1, expected at least 2: this network's batch norms over pooled values "
                "cannot train on one sample; take a larger batch size"
            )
        return super().forward(x)
