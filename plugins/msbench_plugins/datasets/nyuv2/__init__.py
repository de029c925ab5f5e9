"""NYU Depth v2 in the layouts in which it is passed around."""
