"""Exact answers: literal, slow transcriptions of the papers that share no code with the library.

They are plain PyTorch loops in float64 with the noise passed in, so that a library model with the
same weights and the same noise must give the same beliefs, KLs, gates, loss and gradients.
"""

__all__: list[str] = []
