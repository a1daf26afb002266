"""What the docstrings promise: examples that run, and a description of every public name."""

import doctest
import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import sorgum

MODULES = ["sorgum", *(info.name for info in pkgutil.walk_packages(sorgum.__path__, "sorgum."))]
FAMILIES = [name for name in sorgum.__all__ if inspect.ismodule(getattr(sorgum, name))]


def load(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] == "sorgum":
            raise
        pytest.skip(f"{name} needs {error.name}, which is not installed")


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("._core")])
def test_doctests(name: str) -> None:
    module = load(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert failed == 0


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("._core")])
def test_examples_print_the_same_under_numpy_1(name: str) -> None:
    """A scalar prints as 0.5 there, and as np.float64(0.5) since NumPy 2: examples show arrays."""
    examples = [example for found in doctest.DocTestFinder().find(load(name)) for example in found.examples]
    assert [example.source for example in examples if "np." in example.want] == []


def public_functions() -> list[str]:
    modules = ["sorgum", *(f"sorgum.{family}" for family in FAMILIES)]
    return [
        f"{name}.{attribute}"
        for name in modules
        for attribute in importlib.import_module(name).__all__
        if inspect.isroutine(getattr(importlib.import_module(name), attribute))
    ]


def test_public_functions_are_found() -> None:
    assert "sorgum.set_isa" in public_functions()
    assert "sorgum.special.softmax" in public_functions()


@pytest.mark.parametrize("path", public_functions())
def test_every_public_function_is_documented(path: str) -> None:
    module, name = path.rsplit(".", 1)
    function = getattr(importlib.import_module(module), name)
    text = inspect.getdoc(function) or ""
    for section in ("Examples", *(["Parameters"] if inspect.signature(function).parameters else ["Returns"])):
        assert f"{section}\n{'-' * len(section)}" in text, section
    for parameter in inspect.signature(function).parameters:
        assert f"{parameter} : " in text or f"{parameter}, " in text or f", {parameter} : " in text, parameter
    shown = [example.want.strip() for example in doctest.DocTestParser().get_examples(text) if example.want]
    if module != "sorgum":  # what the controls return is the machine's
        assert shown == [] or set(shown) - {"True", "False"}, "examples show numbers"
    assert ">>> " in text
    # Annotations are shown as they are written, not as what npt.ArrayLike stands for: half a screen for each argument.
    assert "numpy._typing" not in str(inspect.signature(function))
