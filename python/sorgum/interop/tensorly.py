"""TensorLy's Tucker decompositions, by its names and with its arguments, computed by `sorgum.tucker`.

``from sorgum.interop.tensorly import tucker`` takes the place of ``from tensorly.decomposition import tucker``. Tensors
of every back end of TensorLy go in, and come out as its own `TuckerTensor`. TensorLy has to be installed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorly
from tensorly.tucker_tensor import TuckerTensor, validate_tucker_rank

from sorgum.interop.arrays import is_int
from sorgum.tucker._hooi import factors_of, improved, presence_of
from sorgum.tucker._hosvd import tensor_of
from sorgum.tucker._modes import modes_of, ranks_of

__all__ = ["partial_tucker", "tucker"]


def tucker(
    tensor: Any,
    rank: Any,
    fixed_factors: Sequence[int] | None = None,
    n_iter_max: int = 100,
    init: Any = "svd",
    return_errors: bool = False,
    svd: str = "truncated_svd",
    tol: float | None = 1e-4,
    random_state: Any = None,
    mask: Any = None,
    verbose: bool = False,
) -> Any:
    """Return TensorLy's Tucker tensor near a tensor, by higher-order orthogonal iteration.

    Parameters
    ----------
    tensor : tensor of TensorLy
    rank : int, sequence of int, float or None
        As `tensorly.tucker_tensor.validate_tucker_rank` takes it.
    fixed_factors : sequence of int, optional
        Modes whose factors stay as `init` gives them.
    n_iter_max : int, optional
    init : {"svd", "random"}, TuckerTensor, (core, factors) or list of factors, optional
    return_errors : bool, optional
        Whether to return the errors of all iterations, too.
    svd : str, optional
        Not used: leading vectors are found as `sorgum.tucker.hooi` finds them.
    tol : float, optional
        The iteration ends when the error changes by less; with None or 0 after `n_iter_max` iterations.
    random_state : None, int or RandomState, optional
        Of "random".
    mask : tensor, optional
        0 where an element is missing, else 1.
    verbose : bool, optional
        Whether to print the error of each iteration.

    Returns
    -------
    tensorly.tucker_tensor.TuckerTensor, or that and a list of float

    Raises
    ------
    TypeError, ValueError, numpy.linalg.LinAlgError
        As `sorgum.tucker.hooi` raises them, but for ranks above the product of the others, which TensorLy allows.

    Notes
    -----
    Unlike TensorLy's function: an error is the norm of the residual, over the elements that are present, also in
    float32; factors that are fixed may be any; half types count as float32, and integers become float64. TensorLy's
    own tests pass (tests/tucker/test_tensorly.py). Tier: deterministic.

    Examples
    --------
    >>> import numpy as np
    >>> from sorgum.interop import tensorly
    >>> core, factors = tensorly.tucker(np.outer([1.0, 2.0], [3.0, 0.0, 4.0]), rank=[1, 1])
    >>> core.round(6)
    array([[11.18034]])
    """
    found, errors = _found(
        "tucker",
        tensor,
        validate_tucker_rank(tensorly.shape(tensor), rank=rank),
        None,
        fixed_factors or (),
        init,
        random_state,
        mask,
        (tol, n_iter_max, verbose),
    )
    result = TuckerTensor(found)
    return (result, errors) if return_errors else result


def partial_tucker(
    tensor: Any,
    rank: Any,
    modes: Sequence[int] | None = None,
    n_iter_max: int = 100,
    init: Any = "svd",
    tol: float | None = 1e-4,
    svd: str = "truncated_svd",
    random_state: Any = None,
    verbose: bool = False,
    mask: Any = None,
    svd_mask_repeats: int = 5,
) -> Any:
    """Return a core and factors along some modes, by higher-order orthogonal iteration.

    Parameters
    ----------
    tensor : tensor of TensorLy
    rank : int, sequence of int or None
        One for all modes, or one for each; None for the dimensions.
    modes : sequence of int, optional
        All by default.
    n_iter_max, init, tol, svd, random_state, verbose, mask : optional
        As of `tucker`.
    svd_mask_repeats : int, optional
        Not used.

    Returns
    -------
    (core, factors), list of float
        The errors are those of all iterations.

    Raises
    ------
    TypeError, ValueError, numpy.linalg.LinAlgError
        As of `tucker`.

    Examples
    --------
    >>> import numpy as np
    >>> from sorgum.interop import tensorly
    >>> (core, factors), errors = tensorly.partial_tucker(np.ones((2, 3, 4)), rank=[1, 1], modes=[0, 2])
    >>> core.shape, [factor.shape for factor in factors]
    ((1, 3, 1), [(2, 1), (4, 1)])
    """
    return _found("partial_tucker", tensor, rank, modes, (), init, random_state, mask, (tol, n_iter_max, verbose))


def _found(
    name: str,
    tensor: Any,
    rank: Any,
    modes: Sequence[int] | None,
    fixed: Sequence[int],
    init: Any,
    random_state: Any,
    mask: Any,
    options: tuple[float | None, int, bool],
) -> tuple[tuple[Any, list[Any]], list[float]]:
    x = tensor_of(name, tensorly.to_numpy(tensor))
    axes = modes_of(name, "modes", None if modes is None else list(modes), x.ndim)
    if rank is None:
        warnings.warn(f"{name}: rank is None, so the core has the dimensions of the tensor", stacklevel=3)
        rank = [x.shape[mode] for mode in axes]
    ranks = ranks_of(name, rank if is_int(rank) else list(rank), x.shape, axes)
    begin = factors_of(name, _init_of(init, x.shape, ranks, random_state), x.shape, ranks)
    held = modes_of(name, "fixed_factors", list(fixed), x.ndim)
    if held and isinstance(begin, str):
        raise ValueError(f"{name}: init must give the factors that are fixed, got {init!r}")
    present = None if mask is None else presence_of(name, np.asarray(tensorly.to_numpy(mask)).astype(bool), x)
    tol, most, verbose = options
    found, errors = improved(name, x, ranks, begin, held, present, tol or 0.0, most, _told(verbose))
    context = tensorly.context(tensor) if found.dtype == x.dtype else {}
    by_mode = dict(zip(found.modes, found.factors, strict=True))
    factors = [tensorly.tensor(by_mode[mode], **context) for mode in axes]
    return (tensorly.tensor(found.core, **context), factors), errors


def _init_of(init: Any, shape: tuple[int, ...], ranks: dict[int, int], random_state: Any) -> Any:
    """Return what to begin with, in NumPy's arrays and in the order of the modes."""
    if isinstance(init, str):
        if init != "random":
            return "hosvd" if init == "svd" else init
        rng = tensorly.check_random_state(random_state)
        return [rng.random_sample((shape[mode], ranks[mode])) for mode in sorted(ranks)]
    is_pair = isinstance(init, tuple | TuckerTensor)
    core, given = init if is_pair else (None, init)
    factors = list(map(tensorly.to_numpy, given))
    factors = [factors[list(ranks).index(mode)] for mode in sorted(ranks)]
    return (tensorly.to_numpy(core), factors) if is_pair else factors


def _told(verbose: bool) -> Callable[[float], object]:
    return (lambda error: print(f"error {error:.6g}")) if verbose else lambda error: None
