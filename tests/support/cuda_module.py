"""The compiled module `sorgum._cuda` in tests, or the stand-in in its place."""

import importlib
import importlib.util
import os
from types import ModuleType

import numpy as np
import pytest
from cuda_stand_in import Module

from sorgum.interop import cuda


def stand_in_module(monkeypatch: pytest.MonkeyPatch) -> Module:
    """Put a stand-in in the place of the compiled module, for a test."""
    stand_in = Module()
    monkeypatch.setattr(cuda, "_module", lambda: (stand_in, ""))
    return stand_in


def compiled_module() -> ModuleType:
    """Return the compiled module; a test that wants it is skipped where there is none, unless there must be one."""
    if importlib.util.find_spec("sorgum._cuda") is None:
        if os.environ.get("SORGUM_REQUIRE_CUDA"):
            pytest.fail("sorgum._cuda is not built")
        pytest.skip("sorgum._cuda is not built (SORGUM_CUDA=1)")
    return importlib.import_module("sorgum._cuda")


def view(array: np.ndarray) -> tuple[int, tuple[int, ...], tuple[int, ...], bool]:
    """Return what the compiled module takes for an array."""
    return array.ctypes.data, array.shape, array.strides, array.flags.writeable
