"""Train a multi-frame network on DAUB: SSTNet, which finds boxes, or with --model tsmsa a segmentation network.

    CUDA_VISIBLE_DEVICES=0 python train_DAUB.py --data-root datasets/DAUB

The segmentation network learns from masks; make them from the boxes once:

    python -m utils_coco.boxes_to_masks --data-root datasets/DAUB
    CUDA_VISIBLE_DEVICES=0 python train_DAUB.py --model tsmsa --data-root datasets/DAUB
"""

from utils.training.launch import launch
from utils.training.recipes import DETECTION_FIRST

if __name__ == "__main__":
    launch(DETECTION_FIRST, __doc__)
