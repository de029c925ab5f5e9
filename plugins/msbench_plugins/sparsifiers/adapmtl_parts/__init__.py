"""The parts of AdapMTL: the soft thresholds, how they learn, and the adaptive loss weights."""
