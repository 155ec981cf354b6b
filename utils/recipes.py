"""Named sets of choices that more than one training script offers."""
from dataclasses import replace

from utils.config import TrainConfig

TSMSA = TrainConfig()

PUBLISHED_TSMSA = replace(
    TSMSA, loss="focal_iou", epochs=300, batch_size=4, input_size=512, fit="resize", optimizer="adam", lr=5e-4,
    weight_decay=0.0, schedule="multistep", milestones=(150, 225), warmup=0.0, ema=0.0, clip_gradient=0.0,
    published_augmentation=True, flips=False, intensity=0.0, threshold=0.5, seed=42)
