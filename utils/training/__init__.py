"""Floor 8: a run: its recipe, its loop, how it goes on after an interruption."""
