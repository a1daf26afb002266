"""TuckerTensor: unpacking, elements and parts with the bits of the whole, norms, files, pickles, refusals."""

import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum import reference
from sorgum._data.inputs import numbers

TuckerTensor = sg.tucker.TuckerTensor
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def made(shape: tuple[int, ...], rank: tuple[int, ...], dtype: Any = np.float64, **more: Any) -> Any:
    kind = np.dtype(dtype)
    pairs = enumerate(zip(shape, rank, strict=True))
    return TuckerTensor(numbers(rank, kind), [numbers(pair, kind, seed=k + 1) for k, pair in pairs], **more)


def partial(dtype: Any = np.float64) -> Any:
    kind = np.dtype(dtype)
    factors = [numbers((7, 3), kind, seed=1), numbers((6, 2), kind, seed=2)]
    return TuckerTensor(numbers((2, 5, 3), kind), factors, modes=(2, 0))


def test_unpacks() -> None:
    tensor = made((6, 5, 4), (2, 3, 4))
    core, factors = tensor
    assert core is tensor.core
    assert factors is tensor.factors
    assert (tensor.shape, tensor.rank, tensor.modes, tensor.size) == (
        (6, 5, 4),
        (2, 3, 4),
        (0, 1, 2),
        24 + 12 + 15 + 16,
    )
    assert math.isnan(tensor.error)
    assert made((3,), (2,), error=0.25).error == 0.25
    assert repr(made((3,), (2,), error=0.25)) == "TuckerTensor(shape=(3,), rank=(2,), dtype=float64, error=0.25)"
    assert "modes=(2, 0)" in repr(partial())
    assert (partial().shape, partial().rank) == ((6, 5, 7), (2, 5, 3))


@each_dtype
def test_to_tensor(dtype: Any) -> None:
    """Against the reference: sums of 24 products of numbers below 1e4, of 60 roundings each at most."""
    unit = 2.0**-24 if dtype == np.float32 else 2.0**-53
    for tensor in (made((6, 5, 4), (2, 3, 4), dtype), made((40, 3), (2, 3), dtype), made((4,), (3,), dtype)):
        expected = reference.tucker.multi_mode_dot(*tensor)
        got = tensor.to_tensor()
        assert got.dtype == dtype
        size = reference.tucker.multi_mode_dot(abs(tensor.core), [abs(f) for f in tensor.factors])
        assert np.all(abs(got - expected) <= 60 * unit * size)
        assert not np.all(abs(np.roll(got, 1) - expected) <= 60 * unit * size)
        assert not np.all(abs(expected) <= 60 * unit * size)
        out = np.empty_like(got)
        assert tensor.to_tensor(out) is out
        assert out.tobytes() == got.tobytes()
        turned = np.empty(got.shape[::-1], dtype).T
        tensor.to_tensor(out=turned)
        assert turned.tobytes() == got.tobytes()
    expected = np.einsum("abc,ia,kc->ibk", partial().core, partial().factors[1], partial().factors[0])
    np.testing.assert_allclose(partial().to_tensor(), expected, rtol=1e-12)
    core = numbers((3, 4), np.dtype(dtype))
    kept = TuckerTensor(core, [], modes=())
    assert kept.to_tensor().tobytes() == core.tobytes()
    assert kept.to_tensor() is not core


@each_dtype
def test_parts_have_the_bits_of_the_whole(dtype: Any, isa: str, threads: Callable[[int], None]) -> None:
    keys = (
        3, -1, (2, 1), (2, 1, 3), (slice(1, 4),), (..., 2), (slice(None, None, -2), ..., slice(0, 2)), ..., (),
        (1, ...), (slice(3, 1), 0), (slice(0, 5, 2), -2, slice(-3, None)), (np.int64(2), 1, ...),
    )  # fmt: skip
    for tensor in (made((6, 5, 9), (5, 3, 4), dtype), partial(dtype)):
        threads(2)
        whole = tensor.to_tensor()
        assert sg.isa() == isa
        threads(1)
        for key in keys:
            got, expected = np.asarray(tensor[key]), np.asarray(whole[key])
            assert got.shape == expected.shape
            assert got.dtype == expected.dtype
            assert got.tobytes() == expected.tobytes()
        sg.set_isa("scalar")
        assert tensor.to_tensor().tobytes() == whole.tobytes()
        sg.set_isa(isa)


@each_dtype
def test_entries(dtype: Any) -> None:
    unit = 2.0**-24 if dtype == np.float32 else 2.0**-53
    rng = np.random.default_rng(3)
    for tensor in (made((6, 5, 9), (5, 3, 4), dtype), partial(dtype), made((4,), (2,), dtype)):
        whole = tensor.to_tensor().astype(np.float64)
        indices = np.stack([rng.integers(-n, n, (3, 700)) for n in tensor.shape], axis=-1)
        got, expected = tensor.entries(indices), whole[tuple(np.moveaxis(indices, -1, 0))]
        assert got.shape == (3, 700)
        assert got.dtype == dtype
        tolerance = 300 * unit * abs(whole).max()  # sums of 60 products at most, twice; both are rounded
        assert abs(got - expected).max() <= tolerance
        assert abs(np.roll(got, 1, -1) - expected).max() > tolerance
        assert tensor.entries(indices[0, 0]).shape == ()
        assert tensor.entries(indices[:, :0]).shape == (3, 0)


def test_entries_of_a_tensor_that_no_memory_holds() -> None:
    """10**12 elements, of which some are asked for."""
    n = 10**4
    factor = np.stack([np.ones(n), np.arange(n)], axis=1)
    core = np.zeros((2, 2, 2))
    core[1, 0, 0] = core[0, 1, 0] = core[0, 0, 1] = 1  # i + j + k
    tensor = TuckerTensor(core, [factor] * 3)
    indices = np.random.default_rng(1).integers(0, n, (1000, 3))
    np.testing.assert_array_equal(tensor.entries(indices), indices.sum(axis=1))
    np.testing.assert_array_equal(tensor[9999, 5, :7], np.arange(7) + 10004)
    assert tensor.norm() == pytest.approx(math.sqrt(float(n) ** 2 * (3 * (n - 1) * n * (2 * n - 1) / 6)
                                                    + 6 * float(n) * (n * (n - 1) / 2) ** 2), rel=1e-13)  # fmt: skip


def test_norm() -> None:
    """Of what is formed, at any scale of core and factors."""
    for tensor in (made((6, 5, 9), (5, 3, 4)), partial(), made((6, 5, 9), (5, 3, 4), np.float32)):
        expected = np.linalg.norm(tensor.to_tensor().astype(np.float64))
        assert tensor.norm() == pytest.approx(expected, rel=1e-6)
        assert tensor.norm() > 1
    tensor = made((6, 5), (2, 3))
    scaled = TuckerTensor(tensor.core * 2.0**900, [tensor.factors[0] * 2.0**-1000, tensor.factors[1]])
    assert scaled.norm() == pytest.approx(tensor.norm() * 2.0**-100, rel=1e-12)
    assert TuckerTensor(np.zeros((2, 2)), [np.ones((3, 2))] * 2).norm() == 0


def test_types() -> None:
    assert TuckerTensor(np.float32([1]), [np.ones((2, 1))]).dtype == np.float64
    assert TuckerTensor(np.float16([1]), [np.ones((2, 1), np.float32)]).dtype == np.float32
    assert TuckerTensor([1], [[[1], [2]]]).to_tensor().dtype == np.float64


def test_files(tmp_path: Path) -> None:
    for tensor in (made((6, 5), (2, 3), np.float32, error=0.125), partial(), TuckerTensor([[1.0]], [], modes=[])):
        path = tmp_path / "tensor"
        tensor.save(path)
        for again in (TuckerTensor.load(path), TuckerTensor.load(str(path)), pickle.loads(pickle.dumps(tensor))):
            assert again.modes == tensor.modes
            assert again.core.tobytes() == tensor.core.tobytes()
            assert [f.tobytes() for f in again.factors] == [f.tobytes() for f in tensor.factors]
            assert again.dtype == tensor.dtype
            assert repr(again) == repr(tensor)


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "file"
    made((6, 5), (2, 3)).save(path)
    whole = path.read_bytes()

    def stored(**arrays: Any) -> bytes:
        with open(path, "wb") as file:
            np.savez(file, **arrays)
        return path.read_bytes()

    ones = np.ones((2, 2))
    bad = [
        b"", b"PK", whole[:-30], whole[:200], b"\x80\x04N.", stored(core=ones),
        stored(core=ones, modes=[0], error=0.0, factor_0=np.ones((3, 3))), stored(core=ones, modes=[7], error=0.0),
        stored(core=np.array([{}]), modes=np.zeros(0, int), error=0.0), stored(core=ones, modes=["a"], error=0.0),
        stored(core=ones, modes=[0], error="x", factor_0=ones), stored(core=ones, modes=3, error=0.0),
    ]  # fmt: skip
    for content in bad:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"^TuckerTensor\.load: path must be a file that save wrote, got "):
            TuckerTensor.load(path)
    np.save(path.with_suffix(".npy"), ones)
    with pytest.raises(ValueError, match="must be a file that save wrote"):
        TuckerTensor.load(path.with_suffix(".npy"))
    with pytest.raises(FileNotFoundError):
        TuckerTensor.load(tmp_path / "nothing")


ONES = np.ones((2, 3))


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((ONES, [ONES.T]), ValueError, "factors must have 2 entries, got 1"),
        ((ONES, [ONES, ONES]), ValueError, "factors must have shape (n, 2) in mode 0, got (2, 3)"),
        ((ONES, [ONES[0]], [1]), ValueError, "factors must have shape (n, 3) in mode 1, got (3,)"),
        ((ONES, [ONES], [2]), ValueError, "modes must be in [-2, 2), got 2"),
        ((ONES, [ONES, ONES], [1, 1]), ValueError, "modes must be different from each other, got [1, 1]"),
        ((ONES, 1.0), TypeError, "factors must be a sequence, got 1.0"),
        ((ONES * 1j, []), TypeError, "core must be float16, bfloat16, float32, float64, bool or integer, got dtype "
         "dtype('complex128')"),
    ],
)  # fmt: skip
def test_refusals(arguments: tuple[Any, ...], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^TuckerTensor: {re.escape(message)}$"):
        TuckerTensor(*arguments)


def test_refusals_of_methods() -> None:
    tensor = made((6, 5), (2, 3))
    calls: list[tuple[Any, Any, str]] = [
        (lambda: tensor.to_tensor(np.zeros((6, 4))), ValueError, ".to_tensor: out must have shape (6, 5), got (6, 4)"),
        (lambda: tensor.to_tensor(np.zeros((6, 5), np.float32)), TypeError,
         ".to_tensor: out must have dtype float64, got float32"),
        (lambda: tensor.to_tensor(np.broadcast_to(0.0, (6, 5))), ValueError,
         ".to_tensor: out must be writable, got a read-only array"),
        (lambda: tensor.entries([1]), ValueError, ".entries: indices must have shape (..., 2), got (1,)"),
        (lambda: tensor.entries([1, 5]), ValueError, ".entries: indices must be in [-5, 5) along axis 1, got 5"),
        (lambda: tensor.entries([-7, 0]), ValueError, ".entries: indices must be in [-6, 6) along axis 0, got -7"),
        (lambda: tensor.entries([0.0, 1.0]), TypeError,
         ".entries: indices must be an array of integers, got dtype dtype('float64')"),
        (lambda: tensor[6], IndexError, ": an index must be in [-6, 6) along axis 0, got 6"),
        (lambda: tensor[0, 0, 0], IndexError, ": an index must have at most 2 entries, got (0, 0, 0)"),
        (lambda: tensor[..., ...], IndexError, ": an index must have at most 2 entries, got (Ellipsis, Ellipsis)"),
        (lambda: tensor[[0, 1]], TypeError, ": an index must be an int, a slice or an ellipsis, got [0, 1]"),
    ]  # fmt: skip
    for call, kind, message in calls:
        with pytest.raises(kind) as caught:
            call()
        assert str(caught.value) == f"TuckerTensor{message}"
