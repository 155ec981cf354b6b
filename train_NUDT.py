"""Train a multi-frame network on NUDT-MIRSDT, in its official or its re-arranged layout.

CUDA_VISIBLE_DEVICES=0 python train_NUDT.py --data-root datasets/NUDT-MIRSDT
"""

from utils.training.launch import launch
from utils.training.recipes import SEGMENTATION_FIRST

if __name__ == "__main__":
    launch(SEGMENTATION_FIRST, __doc__)
