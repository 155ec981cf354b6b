"""Speed and memory, each module a command that prints a table, and the literal networks they are held against."""
