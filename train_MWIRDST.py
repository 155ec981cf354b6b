"""Train a multi-frame network on MWIRSTD (also spelt MWIRDST).

CUDA_VISIBLE_DEVICES=0 python train_MWIRDST.py --data-root datasets/MWIRSTD
"""

from utils.training.launch import launch
from utils.training.recipes import SEGMENTATION_FIRST

if __name__ == "__main__":
    launch(SEGMENTATION_FIRST, __doc__)
