"""The command line's commands, a file for each kind of job; each reads its arguments, calls a room and prints."""
