"""Synthetic satellite video of towns and roads: `python -m utils.synthetic --kind satellite --out FOLDER`."""
