"""Floor 4: which frames make a clip, their registration, and clips as training samples."""

from utils.clips.rule import clip_indices
from utils.clips.training_clips import ClipDataset

__all__ = ["ClipDataset", "clip_indices"]
