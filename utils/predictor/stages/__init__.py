"""What comes behind a network, frame by frame, and what it knows of the scene."""
