"""How the weights that the network uses follow from the trained ones."""

from __future__ import annotations

from torch import Tensor

Weights = dict[str, Tensor]
"""Parameter name to tensor."""


class View:
    """The network uses the trained weights themselves. Algorithms with latent weights override both methods."""

    def weights(self, parameters: Weights) -> Weights:
        """W from Θ, differentiable where gradients are wanted; new tensors where W differs from Θ."""
        return parameters

    def constrain(self, gradients: Weights) -> Weights:
        """What of an inner step's gradients may act on W (meta-training)."""
        return gradients
