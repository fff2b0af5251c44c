"""The parts of install.py. Only the standard library is used, since nothing else is installed yet."""
