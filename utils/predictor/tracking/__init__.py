"""Targets followed from frame to frame."""
