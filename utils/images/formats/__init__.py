"""File formats of pictures: what their bytes say before, and instead of, a decoder."""
