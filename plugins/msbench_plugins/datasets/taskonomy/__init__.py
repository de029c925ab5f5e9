"""Taskonomy, tiny: views of 35 buildings with five of its tasks."""
