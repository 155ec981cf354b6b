"""SSTNet learns eight clips by heart, real ones where there are some, through the training loop and the predictor."""

import numpy as np
import torch
from scripts import ROOT

from nets import build_model
from utils.clips.settings import ClipSettings
from utils.clips.transforms import letterbox_clip
from utils.datasets.dataset import open_dataset
from utils.images.image_files import read_frame
from utils.images.normalise import normalise
from utils.metrics.detection import DetectionMetrics
from utils.predictor.predictor import Predictor
from utils.predictor.weights import IMAGENET
from utils.training.engine import train_one_epoch
from utils.training.learner import Learner
from utils.training.loader import collate

CLIPS, FRAMES, CROP, SIZE, STEPS = 8, 5, 48, 96, 70
REAL = ROOT.parent / "shared" / "data" / "DAUB-mini"


def real_clips(rng):
    """Clips (T, CROP, CROP) uint8 out of real sequences with a box (1, 5) around the target of the last frame."""
    sequences = list(open_dataset(REAL, "train", "boxes").sequences.values())
    for index in range(CLIPS):
        frames = sequences[index % len(sequences)]
        last = FRAMES + (index // len(sequences)) * (len(frames) // 4)
        box = np.array(frames[last].boxes[:1], np.float64)
        x, y = np.clip(box[0, :2].astype(int) - rng.integers(4, CROP - 12, 2), 0, 256 - CROP)
        images = [read_frame(frame.image)[y : y + CROP, x : x + CROP] for frame in frames[last - FRAMES + 1 : last + 1]]
        yield np.stack(images), box - [x, y, x, y, 0]


def made_clips(rng):
    """The same with a moving spot over clutter."""
    for _ in range(CLIPS):
        images = np.repeat(rng.normal(100, 12, (1, CROP, CROP)), FRAMES, 0) + rng.normal(0, 3, (FRAMES, CROP, CROP))
        x, y = rng.integers(4, CROP - 12, 2)
        for age, image in enumerate(images[::-1]):
            image[y + 3 : y + 5, x + 3 - age : x + 5 - age] += 80
        yield images.clip(0, 255).astype(np.uint8), np.array([[x, y, x + 8, y + 8, 0]], np.float64)


def test_eight_clips_are_learnt_by_heart():
    rng = np.random.default_rng(0)
    clips, boxes = zip(*(real_clips(rng) if REAL.is_dir() else made_clips(rng)), strict=True)
    samples = []
    for clip, box in zip(clips, boxes, strict=True):
        frames, _, moved = letterbox_clip(clip.astype(np.float32), np.zeros(clip.shape, bool), box, SIZE)
        samples.append({"clip": normalise(frames, IMAGENET, axis=0), "boxes": moved.astype(np.float32), "key": "clip"})
    batch = collate(samples)
    torch.manual_seed(0)
    network, criterion, postprocess = build_model("sstnet", width=0.125, fold_frames=True)
    network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=STEPS + 1, pct_start=0.1)
    learner = Learner(network, criterion, optimizer, schedule, torch.device("cpu"))
    losses = [train_one_epoch(learner, [batch] * steps, quiet=True).losses["loss"] for steps in (5, STEPS - 10, 5)]
    assert losses[2] < 0.4 * losses[0]
    # The running averages of batch norm (momentum 0.03) would need more steps than the fit.
    torch.optim.swa_utils.update_bn([batch["clip"]], network)
    settings = ClipSettings(FRAMES, IMAGENET, "detection", fit="letterbox", input_size=SIZE)
    predictor = Predictor.from_network(network, postprocess, settings, device="cpu")
    metrics = DetectionMetrics()
    for prediction, box in zip(predictor.predict(np.stack(clips)), boxes, strict=True):
        metrics.update(prediction.detections, box)
    figures = metrics.compute(areas=False)
    assert figures["ap50"] > 0.95 and figures["centre_ap"] > 0.95
