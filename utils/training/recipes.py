"""Named sets of choices that more than one training script offers."""

from __future__ import annotations

from dataclasses import replace

from utils.training.config import TrainConfig

TSMSA = TrainConfig(frame_step=0)

PUBLISHED_TSMSA = replace(
    TSMSA,
    loss="focal_iou",
    epochs=300,
    batch_size=4,
    input_size=512,
    fit="resize",
    optimizer="adam",
    lr=5e-4,
    weight_decay=0.0,
    schedule="multistep",
    milestones=(150, 225),
    warmup=0.0,
    ema=0.0,
    clip_gradient=0.0,
    frame_step=1,
    register=False,
    bad_pixels=False,
    published_augmentation=True,
    flips=False,
    intensity=0.0,
    threshold=0.5,
    seed=42,
)

# Clones keep their size, as all boxes of DAUB have one size, however large the target in them is.
SSTNET = replace(
    TSMSA,
    model="sstnet",
    loss="yolox",
    fit="letterbox",
    input_size=512,
    train_crop=128,
    batch_size=8,
    lr=3e-3,
    weight_decay=5e-4,
    clone_scale=(1.0, 1.0),
    batch_augmentation=False,
    frame_step=1,
    register=False,
    bad_pixels=False,
    recalibrate=16,
)

# The published rate is min(max(batch/64 · 1e-2, 5e-4), 5e-2).
PUBLISHED_SSTNET = replace(
    SSTNET,
    epochs=100,
    clips_per_epoch=0.2,
    batch_size=4,
    input_size=512,
    train_crop=0,
    optimizer="sgd",
    lr=6.25e-4,
    momentum=0.937,
    weight_decay=5e-4,
    schedule="yolox",
    ema=0.9999,
    ema_ramp=2000,
    recalibrate=0,
    clip_gradient=0.0,
    fold_frames=False,
    init_std=0.02,
    target_augmentation=False,
    flips=False,
    intensity=0.0,
    threshold=0.5,
    seed=2023,
)

# Frames keep their pixels, and a clip holds many targets, so that none needs to be cloned.
DSFNET = replace(
    TSMSA,
    model="dsfnet",
    loss="centernet",
    frame_step=1,
    bad_pixels=False,
    width=1.0,
    batch_size=4,
    lr=2e-3,
    target_augmentation=False,
    batch_augmentation=False,
    recalibrate=16,
)
MICML = replace(DSFNET, model="micml")

# An epoch sees a twentieth of the clips. Published for crops of 512×512 of colour frames, from ImageNet's weights.
PUBLISHED_DSFNET = replace(
    DSFNET,
    epochs=55,
    clips_per_epoch=0.05,
    input_size=512,
    target_probability=0.0,
    optimizer="adam",
    lr=1.25e-4,
    weight_decay=0.0,
    schedule="multistep",
    milestones=(30, 45),
    warmup=0.0,
    ema=0.0,
    recalibrate=0,
    clip_gradient=0.0,
    register=False,
    published_augmentation=True,
    intensity=0.0,
    threshold=0.3,
    seed=317,
)
PUBLISHED_MICML = replace(PUBLISHED_DSFNET, model="micml")

RESUNET_DTUM = replace(TSMSA, model="resunet_dtum")

# Published for whole frames of 512×512, and Adam's second decay is its own.
PUBLISHED_RESUNET_DTUM = replace(
    PUBLISHED_TSMSA,
    model="resunet_dtum",
    loss="soft_iou",
    epochs=20,
    batch_size=1,
    lr=1e-3,
    beta2=0.99,
    milestones=(3, 6, 9, 12, 15, 18),
    milestone_factor=0.5,
    target_augmentation=False,
    batch_augmentation=False,
)

# Every frame of a clip is a sample, so clips are long and batches small; frames stay where they are.
DEEPPRO = replace(
    TSMSA,
    model="deeppro",
    num_frames=40,
    frame_step=1,
    register=False,
    batch_size=4,
    lr=1e-3,
    batch_augmentation=False,
)
DEEPPRO_PLUS = replace(DEEPPRO, model="deeppro_plus")

PUBLISHED_DEEPPRO = replace(
    PUBLISHED_TSMSA,
    model="deeppro",
    num_frames=40,
    loss="clip_iou",
    epochs=32,
    clips_per_epoch=0.1,
    batch_size=4,
    input_size=128,
    fit="crop",
    target_probability=0.75,
    lr=1e-3,
    weight_decay=1e-4,
    milestones=(10, 20, 30),
    milestone_factor=0.7,
    target_augmentation=False,
    batch_augmentation=False,
)
PUBLISHED_DEEPPRO_PLUS = replace(PUBLISHED_DEEPPRO, model="deeppro_plus")

CENTRE_DETECTORS = (MICML, DSFNET)
PUBLISHED_CENTRE_DETECTORS = (PUBLISHED_MICML, PUBLISHED_DSFNET)
MULTI_FRAME = (RESUNET_DTUM, DEEPPRO, DEEPPRO_PLUS)
PUBLISHED_MULTI_FRAME = (PUBLISHED_RESUNET_DTUM, PUBLISHED_DEEPPRO, PUBLISHED_DEEPPRO_PLUS)
SEGMENTATION_FIRST = {
    "default": (TSMSA, SSTNET, *CENTRE_DETECTORS, *MULTI_FRAME),
    "published": (PUBLISHED_TSMSA, PUBLISHED_SSTNET, *PUBLISHED_CENTRE_DETECTORS, *PUBLISHED_MULTI_FRAME),
}
DETECTION_FIRST = {
    "default": (SSTNET, TSMSA, *CENTRE_DETECTORS, *MULTI_FRAME),
    "published": (PUBLISHED_SSTNET, PUBLISHED_TSMSA, *PUBLISHED_CENTRE_DETECTORS, *PUBLISHED_MULTI_FRAME),
}
SATELLITE_FIRST = {
    "default": (*CENTRE_DETECTORS, SSTNET, TSMSA, *MULTI_FRAME),
    "published": (*PUBLISHED_CENTRE_DETECTORS, PUBLISHED_SSTNET, PUBLISHED_TSMSA, *PUBLISHED_MULTI_FRAME),
}

# Single-frame networks as their field trains them on single images; the default keeps that and adds what helps TSMSA.
PUBLISHED_SINGLE_FRAME = replace(
    PUBLISHED_TSMSA,
    model="acm",
    num_frames=1,
    loss="soft_iou",
    epochs=400,
    batch_size=16,
    input_size=256,
    fit="crop",
    milestones=(200, 300),
    milestone_factor=0.5,
    target_augmentation=False,
    batch_augmentation=False,
    flips=True,
)
SINGLE_FRAME = replace(TSMSA, model="acm", num_frames=1, frame_step=1, register=False, bad_pixels=False)

SINGLE_FRAME_ONLY = {"default": (SINGLE_FRAME,), "published": (PUBLISHED_SINGLE_FRAME,)}
