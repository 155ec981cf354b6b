"""Everything that touches files, processes and time; networks live in `nets`."""
