"""Train a multi-frame network on DAUB.

The segmentation network learns from masks; make them from the boxes once:

    python -m utils_coco.boxes_to_masks --data-root datasets/DAUB
    CUDA_VISIBLE_DEVICES=0 python train_DAUB.py --model tsmsa --data-root datasets/DAUB
"""
from utils.launch import launch
from utils.recipes import PUBLISHED_TSMSA, TSMSA

if __name__ == "__main__":
    launch({"default": TSMSA, "published": PUBLISHED_TSMSA}, __doc__)
