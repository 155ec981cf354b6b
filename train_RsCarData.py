"""Train a detector of small moving objects in satellite video on RsCarData: MICML, or with --model another network.

CUDA_VISIBLE_DEVICES=0 python train_RsCarData.py --data-root datasets/RsCarData
"""

from utils.training.launch import launch
from utils.training.recipes import SATELLITE_FIRST

if __name__ == "__main__":
    launch(SATELLITE_FIRST, __doc__)
