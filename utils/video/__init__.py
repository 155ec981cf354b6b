"""Floor 3: footage in and video files out."""

from utils.video.sources import open_sources

__all__ = ["open_sources"]
