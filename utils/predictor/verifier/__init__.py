"""A second stage that looks at what a network, and the differences of registered frames, propose, and scores it."""
