"""State dicts in published names, loaded into the networks of this project."""

from nets.published.loading import load_published

__all__ = ["load_published"]
