"""Large frames in tiles: whether, where these lie, and one result of what a network finds in them."""
