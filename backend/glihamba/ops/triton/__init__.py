"""SS2D on an NVIDIA GPU, in Triton."""
