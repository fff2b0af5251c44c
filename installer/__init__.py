"""The parts of install.py. Standard library only: it runs before anything is installed."""
