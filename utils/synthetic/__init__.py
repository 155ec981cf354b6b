"""Floor 4: made sequences with small moving targets: `python -m utils.synthetic --out FOLDER`."""
