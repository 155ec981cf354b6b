"""Train a multi-frame network on MWIRSTD (also spelt MWIRDST).

    CUDA_VISIBLE_DEVICES=0 python train_MWIRDST.py --data-root datasets/MWIRSTD
"""
from utils.launch import launch
from utils.recipes import SEGMENTATION_FIRST

if __name__ == "__main__":
    launch(SEGMENTATION_FIRST, __doc__)
