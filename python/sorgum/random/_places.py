"""Where noise is drawn: streams, positions and indices as the kernels take them."""

import numpy as np
import numpy.typing as npt

from sorgum._arguments.arrays import Array, words64_of
from sorgum._arguments.scalars import int_of

FIRST = np.array(0, dtype=np.int64)
FIRST.flags.writeable = False


def index_offset_of(function: str, value: object) -> int:
    # One that is out of range is refused where the others are.
    return max(-1, min(2**63 - 1, int_of(function, "index_offset", value)))


def place_of(function: str, streams: npt.ArrayLike | None, position: npt.ArrayLike) -> tuple[Array | None, Array]:
    """Return the ids and the positions of rows, each as 64 bits."""
    ids = None if streams is None else words64_of(function, "streams", streams)
    if type(position) is int and position == 0:
        return ids, FIRST
    return ids, words64_of(function, "position", position)
