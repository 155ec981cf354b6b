"""Formats of labels that lie beside a video's frames."""
