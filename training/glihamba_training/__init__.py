"""Training and scoring of harmonizers."""

import os

# Batches and activations in large pages, where Linux has them: page faults were a fifth of the loader's time.
# torch reads this with its first tensor.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
