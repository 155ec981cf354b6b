"""Tracks measured: followed targets compared with true tracks."""

from utils.metrics.tracks.log import TrackLog
from utils.metrics.tracks.results import TrackResults, measure_tracks
from utils.metrics.tracks.rules import TrackRules

__all__ = ["TrackLog", "TrackResults", "TrackRules", "measure_tracks"]
