"""The ways in which meta-sparsity learns λ."""
