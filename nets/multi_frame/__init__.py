"""Comparison methods that read clips."""
