"""Which files a dataset's folder holds: its tree, its images and masks, and paths that lists give."""

from utils.datasets.layouts.files import SEQUENCE_TREE, SINGLE_FRAMES, SPLIT_TREE, Files, place_of_mask
from utils.datasets.layouts.roots import check_root
from utils.datasets.layouts.trees import list_files

__all__ = ["SEQUENCE_TREE", "SINGLE_FRAMES", "SPLIT_TREE", "Files", "check_root", "list_files", "place_of_mask"]
