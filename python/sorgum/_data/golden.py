"""What the golden digests of golden.json are digests of: SHA-256 over the bytes of outputs, per function and dtype.

The inputs come from integer arithmetic (inputs.py), so that a digest depends on nothing but the kernels. Each family
has a module golden_<family>: its `FUNCTIONS`, those of half types (`HALF_FUNCTIONS`), their `outputs` and the type of
these (`result_dtype`), and few outputs of small inputs (`quick`), for where the others would take minutes: under
emulation.
"""

import hashlib
import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorgum import _core
from sorgum.interop import bfloat16

__all__ = ["NAMES", "QUICK", "digest", "outputs", "result_dtype"]

Array = NDArray[Any]

DTYPES: dict[str, np.dtype[Any]] = {"f32": np.dtype(np.float32), "f64": np.dtype(np.float64)}
HALVES: dict[str, np.dtype[Any]] = {"f16": np.dtype(np.float16), "bf16": bfloat16.bits}
FAMILIES: dict[str, Any] = {
    family: importlib.import_module(f"sorgum._data.golden_{family}") for family in _core.families()
}
QUICK = tuple(f"{family}.quick.{suffix}" for family in FAMILIES for suffix in DTYPES)
NAMES = (
    *(f"{family}.{name}.{suffix}" for family, of in FAMILIES.items() for name in of.FUNCTIONS for suffix in DTYPES),
    *QUICK,
    *(f"{family}.{name}.{half}" for family, of in FAMILIES.items() for name in of.HALF_FUNCTIONS for half in HALVES),
)


def outputs(name: str) -> Iterator[Array]:
    """Return what a digest is taken over, one array at a time.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Returns
    -------
    iterator of arrays
        Outputs of the function.

    Examples
    --------
    >>> next(outputs("special.exp.f32")).dtype
    dtype('float32')
    """
    family, function, suffix = name.split(".")
    of, dtype = FAMILIES[family], (DTYPES | HALVES)[suffix]
    yield from of.quick(dtype) if function == "quick" else of.outputs(function, dtype)


def result_dtype(name: str) -> np.dtype[Any] | None:
    """Return the type of all outputs; None where they have several.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Returns
    -------
    dtype or None

    Examples
    --------
    >>> result_dtype("random.bits.f32")
    dtype('uint32')
    """
    family, function, suffix = name.split(".")
    if name in QUICK:
        return None
    found: np.dtype[Any] = FAMILIES[family].result_dtype(function, (DTYPES | HALVES)[suffix])
    return found


def digest(name: str) -> str:
    """Return the SHA-256 of the bytes of the outputs.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Returns
    -------
    str
        In hexadecimal digits.

    Examples
    --------
    >>> len(digest("special.exp.f32"))
    64
    """
    sha = hashlib.sha256()
    for array in outputs(name):
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()
