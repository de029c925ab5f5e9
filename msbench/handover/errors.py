"""What goes wrong when a network is handed over."""

from __future__ import annotations


class HandOverError(Exception):
    """The network, or the file made of it, is not equal to the masked network, or a format cannot express it."""
