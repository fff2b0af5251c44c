"""The command line's commands, each imported only when it is called."""
