"""Train a network that reads single frames on NUAA-SIRST: a comparison method, chosen with --model.

CUDA_VISIBLE_DEVICES=0 python train_NUAA_single.py --model acm --data-root datasets/NUAA-SIRST
"""

from utils.training.launch import launch
from utils.training.recipes import SINGLE_FRAME_ONLY

if __name__ == "__main__":
    launch(SINGLE_FRAME_ONLY, __doc__)
