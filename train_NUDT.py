"""Train a multi-frame network on NUDT-MIRSDT, in its official or its re-arranged layout.

    CUDA_VISIBLE_DEVICES=0 python train_NUDT.py --data-root datasets/NUDT-MIRSDT
"""
from utils.launch import launch
from utils.recipes import PUBLISHED_TSMSA, TSMSA

if __name__ == "__main__":
    launch({"default": TSMSA, "published": PUBLISHED_TSMSA}, __doc__)
