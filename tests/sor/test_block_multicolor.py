"""Groups of 512 rows that have colors: which they get, the bits of a sweep, and what is refused."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import sorgum as sg
from sorgum import _core
from sorgum._data.inputs import logits
from sorgum._data.matrices import Matrix, dominant, grid

GROUP = 512
DTYPES = [np.dtype(np.float32), np.dtype(np.float64)]


@pytest.fixture
def shared(threads: Callable[[int], None]) -> Iterator[Callable[[int], None]]:
    """Sweeps of any size are shared between threads."""
    _core.sor.share_from(1)
    yield threads
    _core.sor.share_from(0)


def scipy_of(a: Matrix) -> Any:
    return sparse.csr_array((a.data, a.indices, a.indptr), a.shape)


def expected_colors(a: Any) -> np.ndarray[Any, Any]:
    """First fit over the groups, one after the other; rows behind the last whole group have the last color."""
    n = a.shape[0]
    count = n // GROUP
    rows, columns = a.nonzero()
    both = np.concatenate((rows, columns)) // GROUP, np.concatenate((columns, rows)) // GROUP
    colors: list[int] = []
    for group in range(count):
        near = both[1][both[0] == group]
        taken = {colors[other] for other in set(near.tolist()) if other < group}
        colors.append(min(set(range(count + 1)) - taken))
    return np.concatenate((np.repeat(colors, GROUP), np.full(n % GROUP, max(colors, default=-1) + 1))).astype(int)


def matrices(dtype: Any) -> list[Matrix]:
    return [
        grid((110, 130), False, dtype, np.int32),
        grid((13, 20, 24), True, dtype, np.int64),
        dominant(2 * GROUP, 2, dtype, np.int32),
        grid((8, GROUP), False, dtype, np.int32),
        grid((20, 20), False, dtype, np.int32),
    ]


@pytest.mark.parametrize("dtype", DTYPES, ids=["f32", "f64"])
def test_a_sweep_is_that_of_the_permuted_matrix(dtype: Any, shared: Callable[[int], None], isa: str) -> None:
    del isa
    seen = set()
    for a in matrices(dtype):
        n = a.shape[0]
        relaxation = sg.sor.Relaxation(a, order="block_multicolor")
        colors = relaxation.colors
        assert colors.tolist() == expected_colors(scipy_of(a)).tolist()
        seen.add(int(colors.max()))
        order = np.argsort(colors, kind="stable")
        permuted = scipy_of(a)[order][:, order].tocsr()
        permuted.sort_indices()
        natural = sg.sor.Relaxation(permuted)
        x, b = logits(n, dtype, seed=1), logits(n, dtype, seed=2)
        for sweep in ("forward", "backward", "symmetric"):
            shared(1)
            want = x[order]
            natural.sweep(want, b[order], 1.3, sweep=sweep, iterations=3)
            assert not np.array_equal(want, x[order])
            for count in (1, 2, 3, 7):
                shared(count)
                got = x.copy()
                relaxation.sweep(got, b, 1.3, sweep=sweep, iterations=3)
                assert got[order].tobytes() == want.tobytes()
    assert len(seen) >= 3  # of one color, and of many


def test_a_solve_and_a_preconditioner() -> None:
    a, b = scipy_of(grid((60, 70), False, np.float64, np.int32)), np.ones(4200)
    by_groups = sg.sor.sor_result(a, b, order="block_multicolor", omega=1.9, rtol=1e-10)
    natural = sg.sor.sor_result(a, b, omega=1.9, rtol=1e-10)
    assert by_groups.info == natural.info == 0
    assert np.abs(by_groups.x - natural.x).max() <= 1e-7 * np.abs(natural.x).max()
    assert by_groups.iterations < 1.5 * natural.iterations
    m = sg.sor.SSOR(a, 1.5, order="block_multicolor")
    u, v = logits(4200, np.float64, seed=3), logits(4200, np.float64, seed=4)
    assert abs(u @ m.matvec(v) - v @ m.matvec(u)) <= 1e-12 * np.linalg.norm(u) * np.linalg.norm(v)


def test_unknowns_of_a_point_are_of_one_group() -> None:
    a = grid((40, 50), False, np.float64, np.int32)
    b = np.ones(2000)
    for size in (2, 4):
        assert sg.sor.sor(a, b, order="block_multicolor", omega=1.2, rtol=1e-8, blocksize=size)[1] == 0
    message = r"^Relaxation: blocksize must divide 512 where order is 'block_multicolor', got 5$"
    with pytest.raises(ValueError, match=message):
        sg.sor.Relaxation(a, order="block_multicolor", blocksize=5)
    with pytest.raises(ValueError, match=r"^ssor_cg: A must be in natural order, got a Relaxation in another one$"):
        sg.sor.ssor_cg(sg.sor.Relaxation(a, order="block_multicolor"), b)
