"""Fixtures that every test file shares."""

import gc
import sys
from collections.abc import Callable, Iterator

import dlpack_stand_in
import hypothesis
import numpy as np
import pytest

import sorgum as sg

ISAS = ("scalar", "avx2", "avx512")

# The same examples in every run, and no time limits: the machines of CI are slow and shared.
hypothesis.settings.register_profile(
    "sorgum",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
# Other examples in every run, and many: pytest tests/common/test_fuzz.py --hypothesis-profile=long
hypothesis.settings.register_profile(
    "long", parent=hypothesis.settings.get_profile("sorgum"), derandomize=False, max_examples=10_000, print_blob=True
)
hypothesis.settings.load_profile("sorgum")


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test once per instruction set, forced; one that is absent here skips with the reason."""
    name: str = request.param
    if name not in sg.available_isas():
        pytest.skip(f"{name} is not available on this machine, which has {', '.join(sg.available_isas())}")
    before = sg.isa()
    sg.set_isa(name)
    assert sg.isa() == name, "the forced instruction set is not the one that runs"
    yield name
    after = sg.isa()
    sg.set_isa(before)
    assert after == name, "the test ended on another instruction set than it began with"


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Give `set_num_threads`, and restore the number afterwards."""
    before = sg.get_num_threads()
    yield sg.set_num_threads
    sg.set_num_threads(before)


@pytest.fixture
def gradients_on_again() -> Iterator[None]:
    """Undo what the benchmarks of PyTorch, which run in a process of their own otherwise, set for all of it."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_grad_enabled(True)


@pytest.fixture
def rng() -> np.random.Generator:
    """Give a generator with a fixed seed."""
    return np.random.default_rng(20180617)


@pytest.fixture(scope="module")
def few_objects() -> Iterator[None]:
    """Leave what the libraries have made so far out of collections: they are fifty times as fast."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def no_leaks(few_objects: None) -> Iterator[None]:
    """See that every capsule is let go of once: the stand-in fails at the second time."""
    gc.collect()
    before = dlpack_stand_in.live()
    yield
    gc.collect()
    assert dlpack_stand_in.live() == before


@pytest.fixture(params=["with ml_dtypes", "without"])
def bf16(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let bfloat16 have a type, or only bits."""
    if request.param == "without":
        monkeypatch.delitem(sys.modules, "ml_dtypes", raising=False)
    else:
        pytest.importorskip("ml_dtypes")
    return str(request.param)
