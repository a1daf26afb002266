"""The benchmarks of draws draw what they say, and report a row per rival."""

import numpy as np
import pytest
from scipy import stats

import sorgum as sg
from sorgum.bench import draws, peers
from sorgum.bench.case import Case, make_ring

pytestmark = pytest.mark.usefixtures("gradients_on_again")


@pytest.mark.parametrize("draw", draws.DRAWS)
def test_every_way_draws_from_the_same_law(draw: str) -> None:
    """Draws are categories, noise is Gumbel noise, relaxed rows sum to 1."""
    x = draws.make_logits((400, 60), "normal")
    found = draws.draws(draw, x, np.empty_like(x), 1)
    assert found[0].library == "sorgum"
    for way in found:
        y = np.asarray(way.call())
        if draw == "gumbel":
            assert stats.kstest(y.ravel()[:20000], stats.gumbel_r.cdf).pvalue > 1e-9, way.how
        elif draw == "gumbel_softmax":
            assert np.allclose(y.sum(-1), 1, atol=1e-5)
        elif draw == "soft_token_policy":
            assert np.allclose(y, found[0].call(), atol=1e-5)
            assert np.std(y) > 0.1
        else:
            y = y.reshape(400, -1)
            assert y.shape[1] == (draws.TOP if draw == "gumbel_top_k" else 1)
            assert y.min() >= 0
            assert y.max() < 60
            drawn, plain = np.take_along_axis(x, y[:, :1], axis=-1).mean(), x.mean()
            assert drawn > plain + 2, way.how


@pytest.mark.parametrize("draw", draws.DRAWS)
def test_draws_stand_in_the_table(draw: str) -> None:
    """Ours and every library that has the draw, called as the suite calls them."""
    case = Case(draw, (5, 60), cached=True)
    ring = make_ring(case, 0)
    for name in (peers.OURS, *peers.rivals(case, 1)):
        for call in peers.calls(name, case, ring, 1):
            found = np.asarray(call())
            assert found.shape[0] == 5, name
            assert np.isfinite(found).all(), name
    for library in draws.LIBRARIES:
        if library not in peers.missing():
            assert bool(draws.ways(library, draw, ring[0].x, ring[0].out, 1)) == (draw in draws.HAS[library])


def test_data() -> None:
    normal, flat, peaked = (draws.make_logits((50, 1000), name) for name in draws.DATA)
    assert abs(normal.std() - 3) < 0.1
    assert np.ptp(flat) == 0
    assert np.median(sg.special.softmax(peaked).max(-1)) > 0.2


def test_rows() -> None:
    before = sg.get_num_threads()
    rows = list(draws.compare((4, 100), "normal", rounds=2, select=("gumbel", "categorical")))
    assert {row.draw for row in rows} == {"gumbel", "categorical"}
    assert {"NumPy"} <= {row.rival.library for row in rows}
    assert all(row.pair["ratio_of_medians"] > 0 for row in rows)
    assert sg.get_num_threads() == before


def test_grid() -> None:
    """Every draw beside the one way named, which exists; none beyond its most rows."""
    pytest.importorskip("torch")
    rows = list(draws.grid((2, 65), (100,), ("flat", "peaked"), rounds=1))
    found = {(row.draw, row.data, row.shape): row.rival.how for row in rows}
    assert len(found) == len(rows) == 14
    for (draw, _, shape), how in found.items():
        assert how == draws.GRID[draw][0]
        assert shape[0] <= draws.GRID[draw][1]


def test_logits_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws, "GENERATED", 300)
    x = draws.make_logits((10, 100), "normal")
    assert np.array_equal(x[:3], x[3:6])
    assert x.flags.c_contiguous
    assert not np.array_equal(x[0], x[1])
