"""SSTNet exactly as its equations are written, in the published names, dead parts included (as convlstm.py)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.literal.convlstm import LiteralConvLSTM
from benchmarks.literal.tsmsa import BaseConv, embedding


class Bottleneck(nn.Module):
    """1×1 → 3×3 convolution, plus the input where `shortcut`: (B, C, H, W) → the same shape."""

    def __init__(self, channels: int, shortcut: bool):
        super().__init__()
        self.conv1 = BaseConv(channels, channels, 1)
        self.conv2 = BaseConv(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x))
        return y + x if self.shortcut else y


class CSPLayer(nn.Module):
    """Half the channels through `depth` bottlenecks, half past them, then 1×1 over both."""

    def __init__(self, in_channels: int, out_channels: int, depth: int, shortcut: bool = True):
        super().__init__()
        hidden = out_channels // 2
        self.conv1 = BaseConv(in_channels, hidden, 1)
        self.conv2 = BaseConv(in_channels, hidden, 1)
        self.conv3 = BaseConv(2 * hidden, out_channels, 1)
        self.m = nn.Sequential(*(Bottleneck(hidden, shortcut) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(torch.cat((self.m(self.conv1(x)), self.conv2(x)), 1))


class SPPBottleneck(nn.Module):
    """Max pooling over 5×5, 9×9 and 13×13 beside the unpooled map, between 1×1 convolutions."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = BaseConv(channels, channels // 2, 1)
        self.conv2 = BaseConv(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        pooled = [F.max_pool2d(x, side, 1, side // 2) for side in (5, 9, 13)]
        return self.conv2(torch.cat((x, *pooled), 1))


class Focus(nn.Module):
    """Every 2×2 pixels stacked as channels, then 3×3: (B, 3, H, W) → (B, out_channels, H/2, W/2)."""

    def __init__(self, out_channels: int):
        super().__init__()
        self.conv = BaseConv(12, out_channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        top, bottom = x[..., ::2, :], x[..., 1::2, :]
        return self.conv(torch.cat((top[..., ::2], bottom[..., ::2], top[..., 1::2], bottom[..., 1::2]), 1))


class CSPDarknet(nn.Module):
    """Backbone: (B, 3, H, W) → maps at H/8, H/16, H/32 of 4, 8, 16 times `base` channels."""

    def __init__(self, base: int, depth: int):
        super().__init__()
        self.stem = Focus(base)
        self.dark2 = nn.Sequential(BaseConv(base, 2 * base, 3, 2), CSPLayer(2 * base, 2 * base, depth))
        self.dark3 = nn.Sequential(BaseConv(2 * base, 4 * base, 3, 2), CSPLayer(4 * base, 4 * base, 3 * depth))
        self.dark4 = nn.Sequential(BaseConv(4 * base, 8 * base, 3, 2), CSPLayer(8 * base, 8 * base, 3 * depth))
        self.dark5 = nn.Sequential(
            BaseConv(8 * base, 16 * base, 3, 2),
            SPPBottleneck(16 * base),
            CSPLayer(16 * base, 16 * base, depth, False),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        eighth = self.dark3(self.dark2(self.stem(x)))
        sixteenth = self.dark4(eighth)
        return eighth, sixteenth, self.dark5(sixteenth)


class YOLOPAFPN(nn.Module):
    """Backbone and top-down pyramid: (B, 3, H, W) → its finest map (B, 4·base, H/8, W/8)."""

    def __init__(self, base: int, depth: int):
        super().__init__()
        self.backbone = CSPDarknet(base, depth)
        self.lateral_conv0 = BaseConv(16 * base, 8 * base, 1)
        self.C3_p4 = CSPLayer(16 * base, 8 * base, depth, False)
        self.reduce_conv1 = BaseConv(8 * base, 4 * base, 1)
        self.C3_p3 = CSPLayer(8 * base, 4 * base, depth, False)

    def forward(self, x: Tensor) -> Tensor:
        eighth, sixteenth, low = self.backbone(x)
        low = F.interpolate(self.lateral_conv0(low), scale_factor=2, mode="nearest")
        p4 = self.C3_p4(torch.cat((low, sixteenth), 1))
        p4 = F.interpolate(self.reduce_conv1(p4), scale_factor=2, mode="nearest")
        return self.C3_p3(torch.cat((p4, eighth), 1))


class Neck(nn.Module):
    """Motion-coupling neck over F_0 … F_{T-1}."""

    def __init__(self, channels: int, frames: int):
        super().__init__()
        c = channels
        self.weight = nn.ParameterList(nn.Parameter(torch.full((1,), 1 / (frames - 1))) for _ in range(frames))
        self.conv_ref = nn.Sequential(
            BaseConv((frames - 1) * c, 2 * c, 3), BaseConv(2 * c, c, 3, activation=nn.Sigmoid)
        )
        self.conv_cur = nn.Sequential(BaseConv(c, c, 3), BaseConv(c, c, 3))
        self.conv_gl = nn.Sequential(BaseConv(2 * c, 2 * c, 3), BaseConv(2 * c, c, 3))
        self.conv_gl_mix = nn.Sequential(BaseConv(c, c, 3), BaseConv(c, c, 3))
        self.conv_cr_mix = nn.Sequential(BaseConv(2 * c, 2 * c, 3), BaseConv(2 * c, c, 3))
        self.conv_final = nn.Sequential(BaseConv(2 * c, 2 * c, 3), BaseConv(2 * c, c, 3))

    def forward(self, features: list[Tensor]) -> Tensor:
        *earlier, key = features
        c = self.conv_cur(self.conv_ref(torch.cat(earlier, 1)) * key)
        c = self.conv_cr_mix(torch.cat((c, key), 1))
        pairs = [self.weight[i] * self.conv_gl(torch.cat((frame, key), 1)) for i, frame in enumerate(earlier)]
        return self.conv_final(torch.cat((self.conv_gl_mix(sum(pairs)), c), 1))


class Head(nn.Module):
    """YOLOX head of one level: (B, channels, h, w) → raw box, objectness and classes (B, 5 + classes, h, w)."""

    def __init__(self, channels: int, hidden: int, classes: int):
        super().__init__()
        self.stems = nn.ModuleList([BaseConv(channels, hidden, 1)])
        for name in ("cls_convs", "reg_convs"):
            pair = nn.Sequential(BaseConv(hidden, hidden, 3), BaseConv(hidden, hidden, 3))
            setattr(self, name, nn.ModuleList([pair]))
        for name, width in (("cls_preds", classes), ("reg_preds", 4), ("obj_preds", 1)):
            setattr(self, name, nn.ModuleList([nn.Conv2d(hidden, width, 1)]))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stems[0](x)
        classes, boxes = self.cls_convs[0](x), self.reg_convs[0](x)
        return torch.cat((self.reg_preds[0](boxes), self.obj_preds[0](boxes), self.cls_preds[0](classes)), 1)


class LiteralSSTNet(nn.Module):
    """Clip (B, 3, T, H, W) float32, H and W multiples of 32 → raw head output (B, 5 + classes, H/8, W/8).

    In training the motion-coordination loss comes beside it.
    """

    def __init__(self, num_classes=1, num_frames=5, num_slices=1, num_layers=1, depth=0.33, width=0.5):
        super().__init__()
        base, blocks = int(64 * width), max(round(3 * depth), 1)
        c = 4 * base
        self.backbone = YOLOPAFPN(base, blocks)
        self.neck = Neck(c, num_frames)
        self.head = Head(c, 2 * c, num_classes)
        self.mapping0 = nn.Sequential(nn.Conv2d(num_frames * c, c, 1, bias=False))  # never used, as published
        self.mapping1 = embedding(3, c // 2)
        self.mapping2 = nn.Sequential(nn.Conv2d(num_frames * c // 2, num_frames * c, 1, bias=False), nn.LeakyReLU(0.01))
        self.SSTNet = LiteralConvLSTM(c // 2, c // 2, num_slices, num_layers, "mha")

    def forward(self, clip: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        frames = clip.unbind(2)
        features = [self.backbone(frame) for frame in frames]
        raw = self.head(self.neck(features))
        if not self.training:
            return raw
        hidden = self.SSTNet(torch.stack([self.mapping1(frame) for frame in frames], 1))
        expanded = self.mapping2(torch.cat(hidden.unbind(1), 1))
        target = F.adaptive_max_pool2d(expanded, features[0].shape[-2:])
        return raw, F.mse_loss(torch.cat(features, 1), target)
