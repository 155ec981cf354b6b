"""ACM: asymmetric contextual modulation in a small FPN-like U-Net.

Dai et al., "Asymmetric Contextual Modulation for Infrared Small Target Detection", WACV 2021.
"""

from torch import Tensor, nn

from nets.blocks import ConvNormAct, resize_like, stack_blocks
from nets.single_frame.key_frame import KeyFrameNetwork, PooledGate
from nets.tsmsa import Head


class Modulation(nn.Module):
    """Joins deep and shallow features, each weighted by what the other knows.

    `deep` gives a weight for each channel of `shallow` (top-down, from the mean of each channel), `shallow` one for
    each channel and point of `deep` (bottom-up): 2·shallow·topdown(deep) + 2·deep·bottomup(shallow) → 3×3 conv-BN-ReLU.
    """

    def __init__(self, channels: int):
        super().__init__()
        inner = channels // 4
        self.topdown = PooledGate(channels, inner)
        self.bottomup = nn.Sequential(
            *ConvNormAct(channels, inner, 1, nn.ReLU), *ConvNormAct(inner, channels, 1, nn.Sigmoid)
        )
        self.post = ConvNormAct(channels, channels, 3, nn.ReLU)

    def forward(self, deep: Tensor, shallow: Tensor) -> Tensor:
        """deep, shallow (B, channels, H, W) float → the same shape."""
        return self.post(2 * shallow * self.topdown(deep) + 2 * deep * self.bottomup(shallow))


class ModulatedEncoder(KeyFrameNetwork):
    """Stem, three residual stages of `count` blocks and the two upsampling convolutions that ACM and ALCNet share."""

    multiple = 16

    def __init__(self, count: int):
        super().__init__()
        self.stem = nn.Sequential(
            nn.BatchNorm2d(1),
            *ConvNormAct(1, 8, 3, nn.ReLU, stride=2),
            *ConvNormAct(8, 8, 3, nn.ReLU),
            *ConvNormAct(8, 16, 3, nn.ReLU),
            nn.MaxPool2d(3, 2, 1),
        )
        self.layer1 = stack_blocks(16, 16, count)
        self.layer2 = stack_blocks(16, 32, count, 2)
        self.layer3 = stack_blocks(32, 64, count, 2)
        self.deconv2 = nn.ConvTranspose2d(64, 32, 4, 2, 1)
        self.deconv1 = nn.ConvTranspose2d(32, 16, 4, 2, 1)

    def encode(self, frame: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 1, H, W) → features (B, 16, H/4, W/4), (B, 32, H/8, W/8), (B, 64, H/16, W/16)."""
        first = self.layer1(self.stem(frame))
        second = self.layer2(first)
        return first, second, self.layer3(second)


class ACM(ModulatedEncoder):
    """ACM-FPN. clip (B, T, H, W) float32 → logits (B, 1, H, W) of the key frame; H and W: multiples of 16."""

    def __init__(self):
        super().__init__(3)
        self.fuse2, self.uplayer2 = Modulation(32), stack_blocks(32, 32, 3)
        self.fuse1, self.uplayer1 = Modulation(16), stack_blocks(16, 16, 3)
        self.head = Head(16, 4)

    def segment(self, frame: Tensor) -> Tensor:
        first, second, third = self.encode(frame)
        second = self.uplayer2(self.fuse2(self.deconv2(third), second))
        first = self.uplayer1(self.fuse1(self.deconv1(second), first))
        return resize_like(self.head(first), frame)
