"""TensorLy's own tests with our functions in the place of its own, and what differs on purpose."""

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum import reference
from sorgum._data.inputs import numbers

tensorly: Any = pytest.importorskip("tensorly")
ours = importlib.import_module("sorgum.interop.tensorly")
decompositions = importlib.import_module("tensorly.decomposition._tucker")

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs
MODULES = ("decomposition.tests.test_tucker", "tenalg.tests.test_n_mode_product", "tests.test_tucker_tensor")
SUITES = [importlib.import_module(f"tensorly.{name}") for name in MODULES]
# Non-negative decompositions are not ours.
TESTS = {
    name: (suite, value)
    for suite in SUITES
    for name, value in vars(suite).items()
    if name.startswith("test_") and not name.startswith("test_non_negative")
}


def in_its_module(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function as if it stood in TensorLy's module, where the test of its class looks for it."""

    @functools.wraps(function)
    def placed(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    placed.__module__ = decompositions.__name__
    return placed


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put ours in the place of theirs; tell which are called."""
    called: list[str] = []

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def counting(*args: Any, **kwargs: Any) -> Any:
            called.append(name)
            return function(*args, **kwargs)

        return counting

    functions = {
        **{name: in_its_module(counted(name, getattr(ours, name))) for name in ("tucker", "partial_tucker")},
        **{name: counted(name, getattr(sg.tucker, name)) for name in ("mode_dot", "multi_mode_dot")},
    }
    for home in (*SUITES, decompositions, importlib.import_module("tensorly.tucker_tensor")):
        for name, function in functions.items():
            if hasattr(home, name):
                monkeypatch.setattr(home, name, function)
    return called


@pytest.mark.parametrize("name", TESTS)
def test_of_tensorly(name: str, calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    test = TESTS[name][1]
    test(*([monkeypatch] if "monkeypatch" in inspect.signature(test).parameters else []))
    if any(word in name for word in ("partial_tucker", "masked", "dot", "to_tensor", "runs_with")):
        assert calls


def test_signatures_are_theirs() -> None:
    for name in ("tucker", "partial_tucker"):
        mine, theirs = (inspect.signature(getattr(home, name)).parameters for home in (ours, decompositions))
        assert list(mine) == list(theirs)
        assert [p.default for p in mine.values()] == [p.default for p in theirs.values()]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_worse_than_theirs(dtype: Any) -> None:
    rng = np.random.default_rng(7)
    core = rng.standard_normal((4, 3, 5))
    x = reference.tucker.multi_mode_dot(core, [rng.standard_normal(p) for p in ((20, 4), (15, 3), (18, 5))])
    x = (x + 0.3 * rng.standard_normal(x.shape)).astype(dtype)
    for rank in ((4, 3, 5), (2, 2, 2), (2, 3, 1)):
        mine = ours.tucker(x, list(rank))
        theirs = decompositions.tucker(x, list(rank))
        assert type(mine) is type(theirs)
        errors = [np.linalg.norm(x - reference.tucker.multi_mode_dot(*pair)) for pair in (mine, theirs)]
        assert errors[0] <= errors[1] * (1 + 1e-4)
        assert np.asarray(mine.core).dtype == dtype
        (_, factors), found = ours.partial_tucker(x, rank[:2], modes=[2, 0])
        assert [f.shape for f in factors] == [(18, rank[0]), (20, rank[1])]
        assert found == sorted(found, reverse=True)


def test_errors_are_true_in_float32() -> None:
    i, j, k = np.ogrid[1:51, 1:51, 1:51]
    x = (1 / (i + j + k)).astype(np.float32)
    tensor, errors = ours.tucker(x, 6, return_errors=True)
    truth = np.linalg.norm(x - reference.tucker.multi_mode_dot(*tensor)) / np.linalg.norm(x)
    assert errors[-1] == pytest.approx(truth, rel=0.1)
    assert truth == pytest.approx(2.325e-5, rel=1e-2)


def test_missing_elements_and_fixed_factors(capsys: pytest.CaptureFixture[str]) -> None:
    x = np.outer([1.0, 2.0, 3.0], [2.0, 1.0, 4.0, 3.0])
    mask = np.ones(x.shape)
    mask[2, 2] = 0
    tensor = ours.tucker(np.where(mask, x, np.nan), [1, 1], mask=mask, tol=0, n_iter_max=200, verbose=True)
    np.testing.assert_allclose(reference.tucker.multi_mode_dot(*tensor), x, rtol=1e-6)
    assert capsys.readouterr().out.count("error ") == 200
    begin = (np.ones((1, 1)), [np.float64([[1], [1], [2]]), np.ones((4, 1))])
    tensor, errors = ours.tucker(x, [1, 1], init=begin, fixed_factors=[0], return_errors=True)
    np.testing.assert_array_equal(tensor.factors[0], begin[1][0])
    assert errors[-1] == pytest.approx(np.linalg.norm(x - reference.tucker.multi_mode_dot(*tensor)) / np.linalg.norm(x))
    with pytest.raises(ValueError, match=r"^tucker: init must give the factors that are fixed, got 'svd'$"):
        ours.tucker(x, [1, 1], fixed_factors=[0])


def test_torch_goes_in_and_comes_out() -> None:
    torch = pytest.importorskip("torch")
    with tensorly.backend_context("pytorch"):
        x = torch.from_numpy(numbers((6, 5, 4), np.dtype(np.float32)))
        core, factors = ours.tucker(x, [2, 2, 2])
        assert isinstance(core, torch.Tensor)
        assert core.dtype == factors[1].dtype == torch.float32
