"""Floor 4: made sequences, infrared or from a satellite: `python -m utils.synthetic --kind KIND --out FOLDER`."""
