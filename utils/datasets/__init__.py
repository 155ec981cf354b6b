"""Floor 3: labelled folders."""

from utils.datasets.dataset import Dataset, open_dataset
from utils.datasets.frame_table import Frame

__all__ = ["Dataset", "Frame", "open_dataset"]
