"""Floor 2: one picture in numpy: reading it, its grey levels, boxes, masks, and fitting it into a network's input."""
