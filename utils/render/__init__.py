"""Floor 7: pictures and result files of predictions."""
