"""exp, softmax and logsumexp on CUDA devices: the calls of the compiled module `_cuda`.

Options are checked by the functions that check them for the CPU (csrc/api/special/check.h).
"""

from typing import Any

import numpy as np

from sorgum import _core
from sorgum._arguments.arrays import temperature_of
from sorgum._arguments.results import asked_dtype
from sorgum._arguments.scalars import axes_of, flag_of, options_of
from sorgum.interop import cuda
from sorgum.interop.libraries import OnDevices

__all__ = ["ON_DEVICES"]


def _exp(x: Any, out: Any) -> Any:
    call = cuda.Call("exp", x)
    result, out_view = call.out(out, call.x.shape)
    call.module.exp(call.x.view(), out_view.view(), *call.place)
    return result


def _softmax(x: Any, axis: Any, temperature: Any, where: Any, empty: Any, out: Any, algorithm: Any) -> Any:
    empty, algorithm = options_of("softmax", empty, algorithm)
    axes, t = axes_of("softmax", axis), temperature_of("softmax", temperature)
    call = cuda.Call("softmax", x)
    _core.special.check_options("softmax", empty, algorithm, call.temperature(t))
    if algorithm not in ("auto", "two_pass"):
        raise ValueError(f"softmax: algorithm must be 'auto' or 'two_pass' on a CUDA device, got '{algorithm}'")
    mask = call.where(where)
    result, out_view = call.out(out, call.x.shape)
    mask_view = None if mask is None else mask.view()
    call.module.softmax(call.x.view(), axes, float(t), mask_view, out_view.view(), empty == "zero", *call.place)
    return result


def _logsumexp(
    x: Any, axis: Any, keepdims: Any, b: Any, return_sign: Any, temperature: Any, where: Any, dtype: Any, out: Any
) -> Any:
    axes, t = axes_of("logsumexp", axis), temperature_of("logsumexp", temperature)
    keepdims, return_sign = flag_of("logsumexp", "keepdims", keepdims), flag_of("logsumexp", "return_sign", return_sign)
    asked_dtype("logsumexp", dtype, np.dtype(np.float32))
    cuda.refuse_given("logsumexp", b=b, return_sign=return_sign)
    call = cuda.Call("logsumexp", x)
    _core.special.check_options("logsumexp", "nan", "auto", call.temperature(t))
    mask = call.where(where)
    shape = _core.special.row_shape("logsumexp", np.broadcast_to(np.float32(0), call.x.shape), axes, keepdims)
    result, out_view = call.out(out, shape)
    mask_view = None if mask is None else mask.view()
    call.module.logsumexp(call.x.view(), axes, float(t), mask_view, out_view.view(), keepdims, *call.place)
    return result


ON_DEVICES = {
    "exp": OnDevices("x", _exp),
    "softmax": OnDevices("x", _softmax),
    "logsumexp": OnDevices("x", _logsumexp),
}
