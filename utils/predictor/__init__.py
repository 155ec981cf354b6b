"""Floor 5: from frames to predictions in original pixels, in any runtime."""

from utils.predictor.predictor import Predictor

__all__ = ["Predictor"]
