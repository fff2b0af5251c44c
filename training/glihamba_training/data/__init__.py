"""Training data: photographs with masks, iHarmony4, and the cache of decoded pictures."""
