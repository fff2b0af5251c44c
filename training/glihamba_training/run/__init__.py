"""A training run: recipe, sources of pictures, steps, checkpoints, export."""
