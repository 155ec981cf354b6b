"""Train a multi-frame network on MWIRSTD (also spelt MWIRDST).

    CUDA_VISIBLE_DEVICES=0 python train_MWIRDST.py --data-root datasets/MWIRSTD
"""
from utils.launch import launch
from utils.recipes import PUBLISHED_TSMSA, TSMSA

if __name__ == "__main__":
    launch({"default": TSMSA, "published": PUBLISHED_TSMSA}, __doc__)
