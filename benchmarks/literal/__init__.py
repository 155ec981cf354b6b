"""Literal transcriptions of the published equations: the oracle of tests and the baseline of speed."""
