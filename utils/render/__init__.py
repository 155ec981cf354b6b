"""Floor 7: pictures, tracks and result files of predictions."""
