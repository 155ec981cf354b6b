"""Mask files: their values, what these mean, and the labels of a frame that come of them."""
