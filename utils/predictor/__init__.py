"""Floor 5: from frames to predictions in original pixels, in any runtime, and to their tracks."""

from utils.predictor.predictor import Predictor
from utils.predictor.tiles.tiling import Tiling

__all__ = ["Predictor", "Tiling"]
