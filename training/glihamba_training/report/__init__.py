"""Scores as tables for the terminal and as one page for the browser."""
