"""What exercises each kernel of the family `tucker`, which has none of its own: its products are linalg's."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cases import Array
from sorgum import tucker

CASES: dict[str, Callable[..., Iterator[Array]]] = {}
# What tests/common/test_refusals.py gives the functions where another argument is in question.
ARGUMENTS: dict[tuple[str, str], Any] = {
    ("mode_dot", "tensor"): np.linspace(-2.0, 2.0, 12, dtype=np.float32).reshape(3, 4),
    ("mode_dot", "matrix_or_vector"): np.eye(4, dtype=np.float32),
    ("mode_dot", "mode"): 1,
    ("gram", "x"): np.linspace(-2.0, 2.0, 12, dtype=np.float32).reshape(3, 4),
    ("gram", "mode"): 1,
    ("gram_partial", "x"): np.linspace(-2.0, 2.0, 12, dtype=np.float32).reshape(3, 4),
    ("gram_partial", "mode"): 1,
    ("gram_merge", "parts"): [tucker.gram_partial(np.ones((2, 3)), 0)],
    ("gram_finish", "p"): tucker.gram_partial(np.ones((2, 3)), 0),
    ("multi_mode_dot", "tensor"): np.linspace(-2.0, 2.0, 12, dtype=np.float32).reshape(3, 4),
    ("multi_mode_dot", "matrix_or_vec_list"): [np.eye(3, dtype=np.float32), np.eye(4, dtype=np.float32)],
    ("sthosvd", "rank"): 2,  # by default None: then another argument has to be given
    ("hosvd", "rank"): 2,
    ("hooi", "rank"): 2,
}
