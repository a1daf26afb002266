"""The implementations compared, each called the best way its documentation shows."""

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import numpy as np

import sorgum
from sorgum.bench import draws
from sorgum.bench.case import DRAWS, GRADIENTS, Array, Case, OwnCase, Slot
from sorgum.bench.paired import Call

__all__ = ["DISTRIBUTIONS", "OURS", "PEERS", "calls", "missing", "one_node_model", "rivals"]

OURS = "sorgum"
ONE_THREAD = "1 thread"


def _ours(case: Case, slot: Slot, **options: Any) -> Call:
    if isinstance(case, OwnCase):
        return case.call(options.get("algorithm", OURS), slot)
    if case.operation in DRAWS:
        return draws.ways(OURS, case.operation, slot.x, slot.out, 1)[0].call
    function = getattr(sorgum.special, case.operation)
    if case.operation in GRADIENTS:
        return partial(function, _forward(case, slot), dy=slot.x, axis=case.axis, out=slot.out, **options)
    if case.operation in ("exp", "log"):
        return partial(function, slot.x, out=slot.out, **options)
    if case.operation == "logsumexp":
        return partial(function, slot.x, axis=case.axis, out=slot.rows, **options)
    return partial(function, slot.x, axis=case.axis, out=slot.out, **options)


def _forward(case: Case, slot: Slot) -> Array:
    """Return the result that a gradient is formed from, whose own gradient is x."""
    return cast(Array, getattr(sorgum.special, case.operation.removesuffix("_grad"))(slot.x, axis=case.axis))


def _one_thread(case: Case, slot: Slot, threads: int) -> Call:
    call = _ours(case, slot)

    def confined() -> object:
        sorgum.set_num_threads(1)
        try:
            return call()
        finally:
            sorgum.set_num_threads(threads)

    return confined


def _numpy_shifted(x: Array, out: Array, axis: int) -> Array:
    highest = x.max(axis=axis, keepdims=True)
    np.subtract(x, highest, out=out)
    return cast(Array, highest)


def _numpy_softmax(x: Array, out: Array, axis: int) -> Array:
    _numpy_shifted(x, out, axis)
    np.exp(out, out=out)
    return cast(Array, np.divide(out, out.sum(axis=axis, keepdims=True), out=out))


def _numpy_log_softmax(x: Array, out: Array, axis: int) -> Array:
    _numpy_shifted(x, out, axis)
    return cast(Array, np.subtract(out, np.log(np.exp(out).sum(axis=axis, keepdims=True)), out=out))


def _numpy_logsumexp(x: Array, scratch: Array, axis: int) -> Array:
    highest = _numpy_shifted(x, scratch, axis)
    np.exp(scratch, out=scratch)
    return cast(Array, highest.squeeze(axis) + np.log(scratch.sum(axis=axis)))


def _numpy(case: Case, ring: Sequence[Slot], threads: int) -> list[Call]:
    if case.operation in ("exp", "log"):
        function = getattr(np, case.operation)
        return [partial(function, slot.x, out=slot.out) for slot in ring]
    written_out = {"softmax": _numpy_softmax, "log_softmax": _numpy_log_softmax, "logsumexp": _numpy_logsumexp}
    return [partial(written_out[case.operation], slot.x, slot.out, case.axis) for slot in ring]


def _scipy(case: Case, ring: Sequence[Slot], threads: int) -> list[Call]:
    function = getattr(importlib.import_module("scipy.special"), case.operation)
    return [partial(function, slot.x, axis=case.axis) for slot in ring]


def _torch(case: Case, ring: Sequence[Slot], threads: int) -> list[Call]:
    torch: Any = importlib.import_module("torch")
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)

    def tensor(array: Array) -> Any:
        return (
            torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
            if case.dtype == "bfloat16"
            else (torch.from_numpy(array))
        )

    if case.operation in GRADIENTS:  # what autograd calls, with its form for an `out`
        backward = getattr(torch.ops.aten, f"_{case.operation.removesuffix('_grad')}_backward_data").out
        key = "grad_input" if case.operation == "softmax_grad" else "out"

        def gradient(slot: Slot) -> Call:
            y, dy, out = (tensor(array) for array in (_forward(case, slot), slot.x, slot.out))
            return partial(backward, dy, y, case.axis, dy.dtype, **{key: out})

        return [gradient(slot) for slot in ring]

    function = getattr(torch, case.operation)
    options: dict[str, Any] = {} if case.operation in ("exp", "log") else {"dim": case.axis}

    def call(slot: Slot) -> Call:
        out = slot.rows if case.operation == "logsumexp" else slot.out
        return partial(function, tensor(slot.x), out=tensor(out), **options)

    return [call(slot) for slot in ring]


_OPERATORS = {
    "exp": "Exp",
    "log": "Log",
    "softmax": "Softmax",
    "log_softmax": "LogSoftmax",
    "logsumexp": "ReduceLogSumExp",
}


def one_node_model(case: Case) -> bytes:
    """Return a case as a model of ONNX, from "x" to "y", whose sizes stay open.

    Parameters
    ----------
    case : Case

    Returns
    -------
    bytes
        What `onnxruntime.InferenceSession` takes.
    """
    onnx: Any = importlib.import_module("onnx")
    make, ndim = onnx.helper, len(case.shape)
    options: dict[str, Any] = {}
    if case.operation in ("softmax", "log_softmax"):
        options = {"axis": case.axis % ndim}
    elif case.operation == "logsumexp":
        options = {"axes": [case.axis % ndim], "keepdims": 0}
    kind = make.np_dtype_to_tensor_dtype(np.dtype(case.dtype))
    x, y = (
        make.make_tensor_value_info(name, kind, [None] * axes)
        for name, axes in (("x", ndim), ("y", ndim - (case.operation == "logsumexp")))
    )
    graph = make.make_graph([make.make_node(_OPERATORS[case.operation], ["x"], ["y"], **options)], "graph", [x], [y])
    opset = make.make_opsetid("", 13)
    # Versions of the format that every ONNX Runtime of today reads: the defaults are the newest that onnx knows.
    model: bytes = make.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
    return model


def _onnxruntime(case: Case, ring: Sequence[Slot], threads: int) -> list[Call]:
    ort: Any = importlib.import_module("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Its threads spin while it runs, but not on into the next implementation's turn.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = ort.InferenceSession(one_node_model(case), options, providers=["CPUExecutionProvider"])
    element = np.dtype(case.dtype).type

    def call(slot: Slot) -> Call:
        out = slot.rows if case.operation == "logsumexp" else slot.out
        binding = session.io_binding()
        binding.bind_input("x", "cpu", 0, element, slot.x.shape, slot.x.ctypes.data)
        binding.bind_output("y", "cpu", 0, element, out.shape, out.ctypes.data)

        def run() -> Array:
            session.run_with_iobinding(binding)
            return out

        return run

    return [call(slot) for slot in ring]


def _jax(case: Case, ring: Sequence[Slot], threads: int) -> list[Call]:
    jax: Any = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    functions = {
        "exp": jax.numpy.exp,
        "log": jax.numpy.log,
        "softmax": partial(jax.nn.softmax, axis=case.axis),
        "log_softmax": partial(jax.nn.log_softmax, axis=case.axis),
        "logsumexp": partial(jax.scipy.special.logsumexp, axis=case.axis),
    }
    compiled = jax.jit(functions[case.operation])

    def call(slot: Slot) -> Call:
        x = jax.numpy.asarray(slot.x)
        return lambda: compiled(x).block_until_ready()

    return [call(slot) for slot in ring]


def _of_own_cases(case: Case, ring: Sequence[Slot], threads: int) -> list[Call]:
    """Stand for a peer that only cases with buffers of their own are compared with."""
    raise AssertionError(f"{case.name} has no rival of this name")


Maker = Callable[[Case, Sequence[Slot], int], list[Call]]
PEERS: dict[str, Maker] = {
    "NumPy": _numpy,
    "SciPy": _scipy,
    "PyTorch": _torch,
    "ONNX Runtime": _onnxruntime,
    "JAX": _jax,
    "PyAMG": _of_own_cases,
    "Numba": _of_own_cases,
    "scikit-learn": _of_own_cases,
    "TensorLy": _of_own_cases,
    "pyttb": _of_own_cases,
}
DISTRIBUTIONS = {
    "NumPy": "numpy",
    "SciPy": "scipy",
    "PyTorch": "torch",
    "ONNX Runtime": "onnxruntime",
    "JAX": "jax",
    "PyAMG": "pyamg",
    "Numba": "numba",
    "scikit-learn": "sklearn",
    "TensorLy": "tensorly",
    "pyttb": "pyttb",
}
_NEEDED_TOO = {"ONNX Runtime": "onnx"}  # makes its models


def missing() -> dict[str, str]:
    """Return the peers that are not installed, with the reason, without importing any."""
    needed = {name: [module, _NEEDED_TOO.get(name, module)] for name, module in DISTRIBUTIONS.items()}
    absent = {
        name: [module for module in dict.fromkeys(modules) if importlib.util.find_spec(module) is None]
        for name, modules in needed.items()
    }
    return {name: f"not installed (pip install {' '.join(modules)})" for name, modules in absent.items() if modules}


def rivals(case: Case, threads: int) -> list[str]:
    """Return what a case is compared with: installed peers, our other algorithms, one thread if there are more."""
    absent = missing()
    if isinstance(case, OwnCase):
        peers = list(case.peers)
    elif case.operation in DRAWS:
        peers = [name for name, has in draws.HAS.items() if case.operation in has]
    else:
        drawn = ("PyTorch", "ONNX Runtime") if case.cached else ("PyTorch",)
        peers = [name for name in PEERS if _has(name, case) and (not case.curve or name in drawn)]
    names = [name for name in peers if name not in absent]
    return names + list(case.algorithms) + ([ONE_THREAD] if threads > 1 and not case.curve else [])


def _has(name: str, case: Case) -> bool:
    if PEERS[name] is _of_own_cases:
        return False
    if case.operation in GRADIENTS:
        return name == "PyTorch"
    if case.dtype == "bfloat16":
        return name in ("PyTorch", "JAX")
    return name != "SciPy" or case.operation not in ("exp", "log")


def calls(name: str, case: Case, ring: Sequence[Slot], threads: int) -> list[Call]:
    """Return an implementation's calls, one per slot, which return or fill the result.

    Parameters
    ----------
    name : str
        `OURS` or one of `rivals`.
    case : Case
    ring : sequence of Slot
    threads : int
        How many threads it may use.

    Returns
    -------
    list of callables
    """
    if name in PEERS and isinstance(case, OwnCase):
        return [case.call(name, slot) for slot in ring]
    if name in PEERS and case.operation in DRAWS:
        return [draws.ways(name, case.operation, slot.x, slot.out, threads)[0].call for slot in ring]
    if name in PEERS:
        return PEERS[name](case, ring, threads)
    if name == OURS:
        return [_ours(case, slot) for slot in ring]
    if name == ONE_THREAD:
        return [_one_thread(case, slot, threads) for slot in ring]
    return [_ours(case, slot, algorithm=name) for slot in ring]
