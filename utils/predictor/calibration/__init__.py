"""A threshold from a source's own scores, without labels: which candidates persist and move, how rare the rest is."""
