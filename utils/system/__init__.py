"""Floor 1: messages, command line, files, threads and processes."""
