"""Furnished rooms, ray cast with exact targets: the dataset that needs no download."""
