"""What a GPU is worth, in one command: its tests, speeds and a training in mixed precision; `make gpu`."""
