"""What type checkers are to find of calls: `assert_type` fails where they find another type. It is never run."""

from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

import sorgum as sg
from sorgum.lowrank import peft


class Tensor:
    """An array of another library."""

    def __dlpack__(self, *, stream: int | None = None, max_version: tuple[int, int] | None = None) -> object:
        """Hand the array over."""
        raise NotImplementedError

    def __dlpack_device__(self) -> tuple[int, int]:
        """Say where it is."""
        raise NotImplementedError


def calls(x: npt.NDArray[np.float32], tensor: Tensor) -> None:
    """Call functions with arrays of NumPy, of another library, numbers and lists."""
    # NumPy's arrays, numbers and lists give NumPy's arrays.
    assert_type(sg.special.exp(x), npt.NDArray[Any])
    assert_type(sg.special.softmax([1.0, 2.0], temperature=2.0), npt.NDArray[Any])
    assert_type(sg.special.softmax(x, (0, 1), where=x > 0, empty="zero"), npt.NDArray[Any])
    assert_type(sg.random.categorical(x, rng=1, streams=[1, 2], position=7), npt.NDArray[Any])
    assert_type(sg.random.normal((2, 3), rng=sg.random.key(1)), npt.NDArray[Any])
    # Another library's arrays give that library's, whatever the other arguments are.
    assert_type(sg.special.softmax(tensor), Tensor)
    assert_type(sg.special.softmax(tensor, where=x > 0, temperature=tensor), Tensor)
    assert_type(sg.random.categorical(tensor, rng=1), Tensor)
    assert_type(sg.random.gumbel_softmax(tensor, rng=1), Tensor)
    # `out` is returned itself.
    assert_type(sg.special.softmax(x, out=tensor), Tensor)
    assert_type(sg.special.log(tensor, out=x), npt.NDArray[np.float32])
    assert_type(sg.random.gumbel((2, 3), rng=1, out=x), npt.NDArray[np.float32])
    # Flags make pairs.
    assert_type(sg.special.logsumexp(x, b=[1.0, -1.0], return_sign=True), tuple[npt.NDArray[Any], npt.NDArray[Any]])
    assert_type(sg.random.categorical(tensor, rng=1, return_log_prob=True), tuple[Tensor, Tensor])
    assert_type(sg.random.concrete_score(x, x, temperature=1.0), tuple[npt.NDArray[Any], npt.NDArray[Any]])
    # Records stay NumPy's; samples and keys have types of their own.
    assert_type(sg.special.logsumexp_partial(tensor), npt.NDArray[Any])
    assert_type(sg.random.gumbel_top_k(x, 3, rng=1), sg.random.TopK)
    assert_type(sg.random.fold_in(sg.random.key(1), 2), sg.random.Key)


def solvers(matrix: Any, x: npt.NDArray[np.float64]) -> None:
    """Call what takes sparse matrices; results have types of their own."""
    assert_type(sg.sor.sor(matrix, x, bounds=(x, None)), tuple[npt.NDArray[Any], Any])
    assert_type(sg.sor.sor_result(matrix, x), sg.sor.SolveResult)
    assert_type(sg.sor.sor_result(matrix, x).seconds, float)
    assert_type(sg.sor.ssor_cg(matrix, x, callback=lambda at: at[0]), tuple[npt.NDArray[Any], Any])
    assert_type(sg.sor.ssor_cg_result(matrix, x), sg.sor.SsorCgResult)
    assert_type(sg.sor.ssor_chebyshev_result(matrix, x), sg.sor.SsorChebyshevResult)
    assert_type(sg.sor.residual_norm(matrix, x, x), float)
    assert_type(sg.sor.SSOR(matrix, 1.5), Any)
    relaxation = sg.sor.Relaxation(matrix, order="multicolor")
    assert_type(relaxation, sg.sor.Relaxation)
    assert_type(relaxation.solve(x), sg.sor.SolveResult)
    assert_type(sg.sor.smoother(iterations=2), sg.sor.smoother)


def adapters(x: npt.NDArray[np.float32], tensor: Tensor) -> None:
    """Call what takes factors: arrays of another library stay that library's."""
    assert_type(sg.lowrank.apply(x, x, x), npt.NDArray[Any])
    assert_type(sg.lowrank.apply(tensor, x, x, activation="relu"), Tensor)
    assert_type(sg.lowrank.apply(x, x, x, out=tensor), Tensor)
    assert_type(sg.lowrank.apply_adapters(tensor, sg.lowrank.AdapterSet([(x, x, 0.5)]), [0, 1]), Tensor)
    assert_type(sg.lowrank.apply_grad(x, x, x, dy=x), sg.lowrank.ApplyGrad)
    assert_type(sg.lowrank.merge(tensor, x, tensor, form="hadamard"), Tensor)
    assert_type(sg.lowrank.unmerge(x, x, x, out=x), npt.NDArray[np.float32])
    assert_type(sg.lowrank.truncated_svd(x, 3), sg.lowrank.TruncatedSVD)
    assert_type(sg.lowrank.truncated_svd(x, 3).error, float)
    assert_type(sg.lowrank.extract(x, tensor, rtol=0.1), sg.lowrank.Factors)
    assert_type(sg.lowrank.polar(x), sg.lowrank.Polar)
    assert_type(sg.lowrank.cholesky_qr(x), sg.lowrank.QR)
    assert_type(sg.lowrank.range_finder(tensor, 5), Tensor)
    assert_type(sg.lowrank.combine([(x, x, 1.0)], [0.5]).scale, float)
    assert_type(peft.read_adapter("folder"), peft.Adapter)
