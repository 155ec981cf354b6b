"""Train a multi-frame network on IRDST: SSTNet, which finds boxes, or with --model tsmsa a segmentation network.

CUDA_VISIBLE_DEVICES=0 python train_IRDST.py --data-root datasets/IRDST
CUDA_VISIBLE_DEVICES=0 python train_IRDST.py --data-root datasets/IRDST --model tsmsa
"""

from utils.training.launch import launch
from utils.training.recipes import DETECTION_FIRST

if __name__ == "__main__":
    launch(DETECTION_FIRST, __doc__)
