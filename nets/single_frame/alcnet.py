"""ALCNet, as compared by the field: the ACM encoder with point-wise modulation and no decoder blocks.

Dai et al., "Attentional Local Contrast Networks for Infrared Small Target Detection", TGRS 2021.
"""

from torch import Tensor, nn

from nets.blocks import resize_like
from nets.single_frame.acm import ModulatedEncoder, Modulation
from nets.tsmsa import Head


class ALCNet(ModulatedEncoder):
    """clip (B, T, H, W) float32 → logits (B, 1, H, W) of the key frame; H and W: multiples of 16."""

    def __init__(self):
        super().__init__(4)
        self.fuse23, self.fuse12 = Modulation(32), Modulation(16)
        self.deconv0 = nn.ConvTranspose2d(16, 8, 4, 2, 1)
        self.head = Head(8)

    def segment(self, frame: Tensor) -> Tensor:
        first, second, third = self.encode(frame)
        second = self.fuse23(self.deconv2(third), second)
        first = self.deconv0(self.fuse12(self.deconv1(second), first))
        return resize_like(self.head(first), frame)
