"""A pytest plugin: in SciPy's own tests, softmax, log_softmax and logsumexp become sorgum's, with SciPy's default axis.

Loaded into a pytest of its own by test_scipy_suite.py; the calls are counted, to prove that ours ran.
"""

import inspect
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
import scipy.special

import sorgum as sg

NAMES = ("softmax", "log_softmax", "logsumexp")

# Deselected by name, each with its reason.
DESELECTED = {
    "test_wrap_radians": "a private function of SciPy",
    "test_logsumexp_complex_sign": "complex argument",
    "test_gh21610": "complex argument",
    "test_gh21709_small_imaginary": "complex argument",
}
# Of these, the examples that have a complex number or dtype among their parameters.
PARTLY_COMPLEX = ("test_dtypes_a", "test_dtypes_ab", "test_gh22601_infinite_elements", "test_device")

calls: Counter[str] = Counter()


def adapter(name: str) -> Any:
    """Return our function with SciPy's signature: axis=None by default, options by position too."""
    ours = getattr(sg.special, name)

    def stand_in(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
        calls[name] += 1
        if name == "logsumexp":
            return ours(a, axis, b=b, keepdims=keepdims, return_sign=return_sign)
        return ours(a, axis)

    return stand_in


def is_deselected(item: pytest.Function) -> bool:
    name = item.originalname
    if name in PARTLY_COMPLEX:
        values = item.callspec.params.values()
        return any(isinstance(value, complex) or str(value).startswith("complex") for value in values)
    return name in DESELECTED


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    functions = [item for item in items if isinstance(item, pytest.Function)]
    for module in {inspect.getmodule(item.function) for item in functions}:
        for name in NAMES:
            if hasattr(module, name):
                setattr(module, name, adapter(name))
        if getattr(module, "sc", None) is scipy.special:  # so older versions call log_softmax
            module.sc = SimpleNamespace(**vars(scipy.special) | {name: adapter(name) for name in NAMES})
    deselected = [item for item in functions if is_deselected(item)]
    config.hook.pytest_deselected(items=deselected)
    items[:] = [item for item in items if item not in deselected]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.write_line(f"calls of ours: {dict(calls)}")
