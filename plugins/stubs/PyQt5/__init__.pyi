"""What the Krita plugin uses of Qt 5, and of Qt 6 under the same names, for type checks."""
