"""Synthetic infrared sequences with small moving targets: `python -m utils.synthetic --out FOLDER`."""
