"""How a good file becomes a bad one."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

CUT, FLIP, INSERT, ZERO, REPEAT = range(5)


def mutated(raw: bytes) -> SearchStrategy[bytes]:
    """`raw` with up to four cuts, flipped bits, insertions, zeroed or repeated pieces, most of them near its start."""
    near = st.integers(0, min(len(raw), 400))
    places = st.one_of(near, st.integers(0, len(raw)))
    changes = st.tuples(st.integers(0, 4), places, st.integers(0, 255), st.binary(min_size=1, max_size=12))
    return st.lists(changes, min_size=1, max_size=4).map(lambda found: _apply(raw, found))


def _apply(raw: bytes, changes: list[tuple[int, int, int, bytes]]) -> bytes:
    data = bytearray(raw)
    for kind, place, value, piece in changes:
        at = min(place, len(data))
        if kind == CUT:
            del data[at:]
        elif kind == FLIP and at < len(data):
            data[at] ^= value or 1
        elif kind == INSERT:
            data[at:at] = piece
        elif kind == ZERO:
            data[at : at + value] = bytes(min(value, len(data) - at))
        elif kind == REPEAT:
            data[at:at] = data[at : at + value]
    return bytes(data)
