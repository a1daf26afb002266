"""The layers of the package in Python: what all families share knows none of them, and nobody takes what is private."""

import ast
import importlib
import inspect
import re
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from sorgum import _core

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python" / "sorgum"
SOURCES = sorted(PACKAGE.rglob("*.py"))
FAMILIES = _core.families()
BUILT_ON = {"random": {"special"}, "lowrank": {"random"}, "sor": {"special", "random"}, "tucker": {"lowrank", "random"}}
BELOW = ("sorgum._arguments", "sorgum.interop", "sorgum.runtime")  # what families are built on; all else uses them
# They stand above a family: functions of another library, or for its arrays.
GLUE = {
    "sorgum.interop.tensorly": {"tucker"},
    "sorgum.interop.dask": {"tucker"},
    "sorgum.interop.mpi": {"sor"},
}
MODULES = {"_core", "_cuda", "_arguments", "_data"}  # they are private to the package, not to a module of it


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def is_module(name: str) -> bool:
    base = PACKAGE.parent.joinpath(*name.split("."))
    return base.is_dir() or base.with_suffix(".py").exists() or base.with_suffix(".pyi").exists()


def imports(text: str) -> Iterator[tuple[str, str]]:
    """Yield (module, name) for everything imported from the package; the name is empty for a whole module."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sorgum":
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "sorgum")


def private_names(text: str) -> list[str]:
    """Return the private names of other modules that a module imports, or takes from a module it imported."""
    found = [
        f"{module}.{name}" for module, name in imports(text) if is_private(name) and not is_module(f"{module}.{name}")
    ]
    modules = {name for module, name in imports(text) if is_module(f"{module}.{name}")}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            found += [f"{node.value.id}.{node.attr}"] if is_private(node.attr) and node.attr not in MODULES else []
    return found


def family_of(name: str) -> str | None:
    return next((part for part in name.split(".")[1:3] if part in FAMILIES), None)


def foreign_families(module: str, text: str) -> list[str]:
    """Return what a module imports, or asks `_core` for, of a family that it is not built on."""
    own = family_of(module)
    if own is None and not module.startswith(BELOW):
        return []
    allowed = {None, own} | BUILT_ON.get(own or "", set()) | GLUE.get(module, set())
    found = [f"{source}.{name}" for source, name in imports(text) if family_of(f"{source}.{name}") not in allowed]
    return found + [
        f"_core.{name}" for name in re.findall(r"\b_core\.(\w+)\b", text) if name in FAMILIES and name != own
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_private_name_crosses_modules(path: Path) -> None:
    assert private_names(path.read_text()) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_families(path: Path) -> None:
    assert foreign_families(module_of(path), path.read_text()) == []


def test_each_rule_rejects_what_it_forbids() -> None:
    assert private_names("from sorgum.special import _floats") == ["sorgum.special._floats"]
    assert private_names("from sorgum.random import _device\n_device._noise()") == ["_device._noise"]
    assert private_names("from sorgum import _core\nfrom sorgum.random._keys import Key\n_core.random.gamma") == []
    assert foreign_families("sorgum._arguments.arrays", "from sorgum.special import exp") == ["sorgum.special.exp"]
    assert foreign_families("sorgum._arguments.arrays", "_core.random.noise(x)") == ["_core.random"]
    assert foreign_families("sorgum.special._grad", "from sorgum.random._keys import Key") == [
        "sorgum.random._keys.Key"
    ]
    assert foreign_families("sorgum.special._grad", "_core.random.noise(x)") == ["_core.random"]
    assert foreign_families("sorgum.random._gamma", "from sorgum.special import softmax") == []


def test_the_families_are_found() -> None:
    assert {"special", "random"} <= set(FAMILIES)
    assert {family_of(module_of(path)) for path in SOURCES} == {None, *FAMILIES}


@pytest.mark.parametrize("family", FAMILIES)
def test_everything_public_is_open_to_libraries(family: str) -> None:
    """Functions, and the methods of classes: none is what stands in the source."""
    module = importlib.import_module(f"sorgum.{family}")
    public = {name: getattr(module, name) for name in module.__all__}
    classes = {name: value for name, value in public.items() if isinstance(value, type)}
    functions = {name: value for name, value in public.items() if callable(value) and name not in classes}
    assert functions
    assert [name for name, function in functions.items() if type(function) is not _core.Function] == []
    for name, owner in classes.items():
        methods = {method: getattr(owner, method) for method in dir(owner)}
        found = {method for method, value in methods.items() if isinstance(value, types.FunctionType)}
        assert [f"{name}.{method}" for method in found if not method.startswith("_") or method == "__init__"] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_versions_for_devices_take_what_their_functions_take(family: str) -> None:
    path = PACKAGE / family / "_device.py"
    versions = importlib.import_module(f"sorgum.{family}._device").ON_DEVICES if path.exists() else {}
    module = importlib.import_module(f"sorgum.{family}")
    with_one = {name for name in module.__all__ if getattr(getattr(module, name), "on_devices", None)}
    assert with_one == set(versions)
    for name, version in versions.items():
        names = list(inspect.signature(getattr(module, name).__wrapped__).parameters)
        assert sorted(inspect.signature(version.function).parameters) == sorted(names)
        assert version.argument in names
