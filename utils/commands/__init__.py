"""Floor 9: what the scripts share: options, inputs, and the details they print."""
