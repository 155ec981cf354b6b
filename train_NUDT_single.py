"""Train a network that reads single frames on NUDT-MIRSDT: a comparison method, chosen with --model.

CUDA_VISIBLE_DEVICES=0 python train_NUDT_single.py --model acm --data-root datasets/NUDT-MIRSDT
"""

from utils.training.launch import launch
from utils.training.recipes import SINGLE_FRAME_ONLY

if __name__ == "__main__":
    launch(SINGLE_FRAME_ONLY, __doc__)
