"""SS2D on the CPU, in numba."""
