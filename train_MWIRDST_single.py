"""Train a network that reads single frames on MWIRSTD (also spelt MWIRDST): a comparison method, chosen with --model.

CUDA_VISIBLE_DEVICES=0 python train_MWIRDST_single.py --model acm --data-root datasets/MWIRSTD
"""

from utils.training.launch import launch
from utils.training.recipes import SINGLE_FRAME_ONLY

if __name__ == "__main__":
    launch(SINGLE_FRAME_ONLY, __doc__)
