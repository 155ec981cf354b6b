"""MICML and DSFNet exactly as their equations are written, in the published names, dead parts included.

Frame 0 is the key frame here and frame t lies t frames before it, but for the networks' own inputs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

CHANNELS = (16, 32, 64, 128, 256, 512)  # of DLA-34's levels
SIDE = 64  # of the pooled maps of the motion module


def conv_norm(in_channels: int, out_channels: int, kernel: int, stride: int = 1, relu: bool = True) -> nn.Sequential:
    """Convolution → BN (→ ReLU)."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), *([nn.ReLU()] if relu else []))


class Block(nn.Module):
    """3×3 → BN → ReLU → 3×3 → BN, plus the residual, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        residual = x if residual is None else residual
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + residual)


class Root(nn.Module):
    """1×1 over the concatenation → BN → ReLU."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, *maps: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(torch.cat(maps, 1))))


class Tree(nn.Module):
    """A tree of one or two levels; `kids`: channels of what outer trees add to the root."""

    def __init__(self, levels: int, in_channels: int, out_channels: int, stride: int, root: bool, kids: int = 0):
        super().__init__()
        kids = 2 * out_channels + kids + (in_channels if root else 0)
        self.levels, self.stride, self.level_root = levels, stride, root
        if levels == 1:
            self.tree1 = Block(in_channels, out_channels, stride)
            self.tree2 = Block(out_channels, out_channels, 1)
            self.root = Root(kids, out_channels)
        else:
            self.tree1 = Tree(1, in_channels, out_channels, stride, False)
            self.tree2 = Tree(1, out_channels, out_channels, 1, False, out_channels + (in_channels if root else 0))
        if in_channels != out_channels:
            self.project = conv_norm(in_channels, out_channels, 1, relu=False)

    def forward(self, x: Tensor, kids: tuple[Tensor, ...] = ()) -> Tensor:
        bottom = F.max_pool2d(x, self.stride) if self.stride > 1 else x
        residual = self.project(bottom) if hasattr(self, "project") else bottom
        if self.level_root:
            kids = (*kids, bottom)
        if self.levels == 2:
            x1 = self.tree1(x)
            return self.tree2(x1, (*kids, x1))
        x1 = self.tree1(x, residual)
        return self.root(self.tree2(x1), x1, *kids)


class LiteralDLA(nn.Module):
    """(B, 3, H, W) → the maps of levels 0 to 4; level 5 and the classifier are only there."""

    def __init__(self, channels: list[int]):
        super().__init__()
        self.base_layer = conv_norm(3, channels[0], 7)
        self.level0 = conv_norm(channels[0], channels[0], 3)
        self.level1 = conv_norm(channels[0], channels[1], 3, 2)
        self.level2 = Tree(1, channels[1], channels[2], 2, False)
        self.level3 = Tree(2, channels[2], channels[3], 2, True)
        self.level4 = Tree(2, channels[3], channels[4], 2, True)
        self.level5 = Tree(1, channels[4], channels[5], 2, True)
        self.fc = nn.Conv2d(channels[5], 1000, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        x, maps = self.base_layer(x), []
        for level in (self.level0, self.level1, self.level2, self.level3, self.level4):
            x = level(x)
            maps.append(x)
        return maps


class DCN(nn.Module):
    """Modulated deformable 3×3 convolution."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        nn.init.uniform_(self.weight, -((9 * in_channels) ** -0.5), (9 * in_channels) ** -0.5)
        self.conv_offset_mask = nn.Conv2d(in_channels, 27, 3, padding=1)
        nn.init.zeros_(self.conv_offset_mask.weight)
        nn.init.zeros_(self.conv_offset_mask.bias)

    def forward(self, x: Tensor) -> Tensor:
        o = self.conv_offset_mask(x)
        return deform_conv2d(x, o[:, :18], self.weight, self.bias, 1, 1, 1, torch.sigmoid(o[:, 18:]))


class DeformConv(nn.Module):
    """DCN → BN → ReLU."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = DCN(in_channels, out_channels)
        self.actf = nn.Sequential(nn.BatchNorm2d(out_channels), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.actf(self.conv(x))


class IDAUp(nn.Module):
    """In place: L_i ← node_i(up_i(proj_i(L_i)) + L_{i-1})."""

    def __init__(self, out_channels: int, channels: list[int], factors: list[int]):
        super().__init__()
        for i in range(1, len(channels)):
            f = factors[i]
            self.add_module(f"proj_{i}", DeformConv(channels[i], out_channels))
            up = nn.ConvTranspose2d(out_channels, out_channels, 2 * f, f, f // 2, groups=out_channels, bias=False)
            v = 1 - (torch.arange(2 * f) / f - (2 * f - 1 - f % 2) / (2 * f)).abs()
            up.weight.data.copy_(v[:, None] * v)
            self.add_module(f"up_{i}", up)
            self.add_module(f"node_{i}", DeformConv(out_channels, out_channels))

    def forward(self, layers: list[Tensor], start: int, end: int) -> None:
        for i in range(start + 1, end):
            proj, up, node = (getattr(self, f"{part}_{i - start}") for part in ("proj", "up", "node"))
            layers[i] = node(up(proj(layers[i])) + layers[i - 1])


class DLAUp(nn.Module):
    """Stage k runs IDA on the last k + 2 levels."""

    def __init__(self, channels: list[int]):
        super().__init__()
        widths = list(channels)
        self.stages = len(channels) - 1
        for k in range(self.stages):
            first = self.stages - 1 - k
            self.add_module(f"ida_{k}", IDAUp(channels[first], widths[first:], [1] + [2] * (k + 1)))
            widths[first + 1 :] = [channels[first]] * (k + 1)

    def forward(self, layers: list[Tensor]) -> list[Tensor]:
        layers, out = list(layers), [layers[-1]]
        for k in range(self.stages):
            getattr(self, f"ida_{k}")(layers, len(layers) - k - 2, len(layers))
            out.insert(0, layers[-1])
        return out


class C3(nn.Module):
    """3-D convolution over (T, H, W) → BN → ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: tuple[int, int, int]):
        super().__init__()
        padding = tuple(side // 2 for side in kernel)
        self.conv = nn.Conv3d(in_channels, out_channels, kernel, padding=padding, bias=False)
        self.bn = nn.BatchNorm3d(out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Cell(nn.Module):
    """A ConvLSTM cell whose gates are split i, f, o, g."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, 4 * channels, 3, padding=1)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        h, c = state
        i, f, o, g = self.conv(torch.cat((x, h), 1)).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class SE(nn.Module):
    """Squeeze and excitation without biases."""

    def __init__(self, channels: int):
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // 2, bias=False), nn.ReLU(), nn.Linear(channels // 2, channels, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.fc(x.mean((2, 3))))[:, :, None, None]


class LiteralMotion(nn.Module):
    """x (B, T, C, h, w) → what is added to it."""

    def __init__(self, num_frames: int, channels: int):
        super().__init__()
        self.cell_list = nn.ModuleList(Cell(channels) for _ in range(3))
        self.cell_list2 = nn.ModuleList(self.cell_list)  # the same cells under another name
        self.se1, self.se2 = SE(channels), SE(channels)
        self.conv1 = nn.Sequential(
            nn.Conv2d(2 * num_frames * channels, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.w0 = nn.Linear(SIDE * SIDE, channels)
        self.w1, self.w2 = nn.Linear(SIDE, SIDE), nn.Linear(SIDE, SIDE)
        self.mapping = nn.Sequential(
            nn.Linear(2 * channels, channels, bias=False), nn.ReLU(), nn.Linear(channels, channels, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        for cell in self.cell_list:
            state, outputs = (torch.zeros_like(x[:, 0]),) * 2, []
            for t in range(x.shape[1]):
                h, c = cell(x[:, t], state)
                ahead, pairs = (h, c), []
                for frame in x.unbind(1):
                    ahead = cell(frame, ahead)
                    pairs += [h, ahead[0]]
                r = self.mine(h, torch.cat(pairs, 1))
                q = self.mapping(torch.cat((h, r), 1).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
                state = h + torch.sigmoid(q), c
                outputs.append(state[0])
            x = torch.stack(outputs, 1)
        return x

    def mine(self, h: Tensor, pairs: Tensor) -> Tensor:
        """R of the state (B, C, h, w) and of [H, G_0, H, G_1, …], as large as the state."""
        n = self.se1(F.adaptive_max_pool2d(h, SIDE))
        k = self.se2(self.conv1(F.adaptive_max_pool2d(pairs, SIDE)))
        m = self.w0(k.flatten(2))
        r = (self.w1(n) + torch.einsum("bck,bkyx->bcyx", m, self.w2(n))) / 2
        return F.interpolate(r, h.shape[2:], mode="bilinear", align_corners=True)


class LiteralDynamic(nn.Module):
    """clip (B, 3, T, H, W), the key frame first → d_0, d_1, d_2."""

    def __init__(self, channels: list[int], num_frames: int, motion: bool, motion_at_test: bool):
        super().__init__()
        for index, kernel in enumerate((5, 3, 3)):
            before, width = (3, *channels)[index : index + 2]
            self.add_module(
                f"branch{index + 1}",
                nn.Sequential(
                    C3(before, width, (1, 1, kernel)), C3(width, width, (1, kernel, 1)), C3(width, width, (3, 1, 1))
                ),
            )
        self.dla_up = DLAUp(channels)
        self.motion_at_test = motion_at_test
        self.Motion = LiteralMotion(num_frames, channels[2]) if motion else None

    def forward(self, x: Tensor) -> list[Tensor]:
        x1 = self.branch1(x)
        x2 = self.branch2(F.max_pool3d(x1, (1, 2, 2)))
        x3 = self.branch3(F.max_pool3d(x2, (1, 2, 2)))
        if self.Motion is not None and (self.training or self.motion_at_test):
            x3 = x3 + self.Motion(x3.transpose(1, 2)).transpose(1, 2)
        return self.dla_up([part[:, :, :3].amax(2) for part in (x1, x2, x3)])


def head(channels: int, hidden: int, out: int) -> nn.Sequential:
    """3×3 → ReLU → 1×1."""
    return nn.Sequential(nn.Conv2d(channels, hidden, 3, padding=1), nn.ReLU(), nn.Conv2d(hidden, out, 1))


class LiteralMICML(nn.Module):
    """clip (B, 3, T, H, W), oldest frame first → raw maps {"hm", "wh", "reg"} of its last frame."""

    in_channels = 3

    def __init__(
        self,
        num_frames: int = 5,
        motion: bool = True,
        motion_at_test: bool = False,
        width: float = 1.0,
        num_classes: int = 1,
    ):
        super().__init__()
        channels = [round(width * count) for count in CHANNELS]
        self.num_frames = num_frames
        self.base = LiteralDLA(channels)
        self.dla_up = DLAUp(channels[:5])
        self.base3d = LiteralDynamic(channels[:3], num_frames, motion, motion_at_test)
        self.ida_up = IDAUp(channels[0], channels[:3], [1, 2, 4])
        hidden = 8 * channels[0]
        self.hm, self.wh, self.reg = (head(channels[0], hidden, out) for out in (num_classes, 2, 2))

    def forward(self, clip: Tensor) -> dict[str, Tensor]:
        x = clip.flip(2)
        static, dynamic = self.dla_up(self.base(x[:, :, 0])), self.base3d(x)
        fused = [static[i] + dynamic[i] for i in range(3)]
        self.ida_up(fused, 0, 3)
        return {"hm": self.hm(fused[-1]), "wh": self.wh(fused[-1]), "reg": self.reg(fused[-1])}


class LiteralDSFNet(LiteralMICML):
    """The same without the motion module."""

    def __init__(self, num_frames: int = 5, width: float = 1.0, num_classes: int = 1):
        super().__init__(num_frames, motion=False, width=width, num_classes=num_classes)
