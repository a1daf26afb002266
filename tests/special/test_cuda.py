"""Arrays on CUDA devices, as far as that can be tested without one.

Stand-ins play the other libraries: objects that speak `__cuda_array_interface__` or DLPack over memory of the host, and
a stand-in for the compiled module runs the kernels of the CPU on it. What only the compiled module can show is tested
where it is built; with SORGUM_REQUIRE_CUDA set, that it is missing is a failure. On a GPU: tools/gpu_check.py.
"""

import ctypes
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cuda_module import compiled_module, stand_in_module, view
from cuda_stand_in import Capsule, Interface, Module, Undisclosed
from dlpack_stand_in import Fields, Managed, Versioned, new_capsule
from errors import error_of

import sorgum as sg
from sorgum.interop import cuda, dlpack

ROOT = Path(__file__).resolve().parents[2]

# ---- stand-ins ----


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Module:
    """Give the stand-in in the place of the compiled module."""
    return stand_in_module(monkeypatch)


def logits(*shape: int) -> np.ndarray:
    return (np.arange(np.prod(shape)) % 11 - 3).reshape(shape).astype(np.float32) / 4


# ---- what an array is ----


def test_what_is_a_cuda_array() -> None:
    x = logits(3)
    assert cuda.is_cuda_array(Interface(x))
    assert cuda.is_cuda_array(Undisclosed(x))
    assert cuda.is_cuda_array(Capsule(x))
    assert cuda.is_cuda_array(Capsule(x, (dlpack.CUDA_MANAGED, 0)))
    for other in (Capsule(x, (dlpack.CPU, 0)), x, x.tolist(), 1.0, None, Interface, Capsule, np.ndarray, "text"):
        assert not cuda.is_cuda_array(other)


makes_versions = pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.1.0", reason="NumPy before 2.1 makes no versioned capsules"
)


@pytest.mark.parametrize("versioned", [False, pytest.param(True, marks=makes_versions)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bool", "int8", "uint16", "complex64"])
def test_a_capsule_is_read(dtype: str, versioned: bool) -> None:
    array = np.zeros((3, 4, 5), dtype)[::2, :, 1:4]
    if versioned:
        array.flags.writeable = False
    tensor = dlpack.read(Capsule(array, versioned=versioned).__dlpack__())
    assert tensor == (array.ctypes.data, (dlpack.CPU, 0), array.shape, array.strides, dtype, versioned or None)


def test_a_capsule_stays_the_producers() -> None:
    array = np.zeros(1000)
    count = sys.getrefcount(array)
    capsule = array.__dlpack__()
    assert sys.getrefcount(array) > count
    assert dlpack.read(capsule) == dlpack.read(capsule)
    del capsule
    assert sys.getrefcount(array) == count


def test_a_capsule_without_strides_or_axes() -> None:
    """Producers before version 1.2 may leave strides out for contiguous arrays; NumPy never does."""
    assert dlpack.read(np.array(3.0).__dlpack__())[2:5] == ((), (), "float64")
    shape = (ctypes.c_int64 * 2)(3, 5)
    structure = Managed(Fields(64, dlpack.CUDA, 3, 2, 4, 16, 1, shape, None, 8))
    capsule = new_capsule(structure, versioned=False)
    assert dlpack.read(capsule) == (72, (dlpack.CUDA, 3), (3, 5), (10, 2), "bfloat16", None)
    structure.tensor.lanes = 4
    assert dlpack.read(capsule).dtype == "bfloat16x4"


def test_what_is_no_capsule() -> None:
    for what in (None, 3, np.zeros(2)):
        with pytest.raises(TypeError, match=r"^__dlpack__: the result must be an unused DLPack capsule, got "):
            dlpack.read(what)
    used = np.zeros(2).__dlpack__()

    class Producer:
        def __dlpack__(self, **_: object) -> object:
            return used

        def __dlpack_device__(self) -> tuple[int, int]:
            return dlpack.CPU, 0

    np.from_dlpack(Producer())
    with pytest.raises(TypeError, match="unused DLPack capsule"):
        dlpack.read(used)


def test_another_version_of_capsules() -> None:
    structure = Versioned(2, 1)
    capsule = new_capsule(structure, versioned=True)
    with pytest.raises(ValueError, match=r"^__dlpack__: the version must be 1, got 2\.1$"):
        dlpack.read(capsule)


@pytest.mark.parametrize("argument", ["x", "where", "out"])
def test_what_is_no_capsule_of_an_argument(module: Module, argument: str) -> None:
    class Empty(Capsule):
        def __dlpack__(self, *, stream: object = None) -> object:
            return None

    arrays = {"x": logits(3), "where": logits(3) > 0, "out": np.zeros(3, np.float32)}
    given: dict[str, Any] = {name: (Empty if name == argument else Capsule)(a) for name, a in arrays.items()}
    with pytest.raises(TypeError) as caught:
        sg.special.softmax(**given)
    assert str(caught.value) == f"softmax: {argument}.__dlpack__: the result must be an unused DLPack capsule, got None"


# ---- calls ----

WRAPPERS = {"interface": Interface, "undisclosed": Undisclosed, "capsule": Capsule}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_calls_reach_the_module(module: Module, wrap: Any) -> None:
    x, y, r = logits(3, 4, 5), np.zeros((3, 4, 5), np.float32), np.zeros((3, 4), np.float32)
    mask = logits(4, 5) > 0
    given, out, row = wrap(x), wrap(y), wrap(r)
    assert sg.special.exp(given, out=out) is out
    np.testing.assert_array_equal(y, sg.special.exp(x))
    assert sg.special.softmax(given, temperature=0.5, where=wrap(mask), empty="zero", out=out) is out
    np.testing.assert_array_equal(y, sg.special.softmax(x, temperature=0.5, where=mask, empty="zero"))
    assert sg.special.softmax(given, (1, 2), out=out, algorithm="two_pass") is out
    np.testing.assert_array_equal(y, sg.special.softmax(x, (1, 2)))
    assert sg.special.logsumexp(given, temperature=2.0, where=wrap(mask), out=row) is row
    np.testing.assert_array_equal(r, sg.special.logsumexp(x, temperature=2.0, where=mask))
    kept = wrap(r.reshape(3, 4, 1))
    assert sg.special.logsumexp(given, keepdims=True, out=kept) is kept
    np.testing.assert_array_equal(r, sg.special.logsumexp(x))
    everything = wrap(y[0, 0, :1].reshape(()))
    assert sg.special.logsumexp(given, None, out=everything) is everything
    assert y[0, 0, 0] == sg.special.logsumexp(x, None)


def test_strides_and_offsets_reach_the_module(module: Module) -> None:
    x, y = logits(6, 12)[::2, 3:8], np.zeros((3, 8), np.float32)[:, 2:7]
    for wrap in WRAPPERS.values():
        sg.special.softmax(wrap(x), out=wrap(y))
        np.testing.assert_array_equal(y, sg.special.softmax(x))


def test_an_array_without_elements(module: Module) -> None:
    x, y = np.zeros((0, 3), np.float32), np.zeros(0, np.float32)
    given = Undisclosed(x)
    out = Interface(y, device=1, data=(None, False))
    assert sg.special.logsumexp(given, out=out) is out
    assert module.places == [(0, 1)]


def test_device_and_stream(module: Module) -> None:
    x, y = logits(4), np.zeros(4, np.float32)
    capsule = Capsule(x, (dlpack.CUDA, 1))
    sg.special.exp(Interface(x, 1, stream=77), out=Interface(y, 1))
    sg.special.exp(Interface(x, 0), out=Interface(y, 0))
    sg.special.exp(Interface(x, 0, stream=2), out=Interface(y, 0))
    sg.special.exp(Undisclosed(x), out=Interface(y, 1))
    sg.special.exp(capsule, out=Interface(y, 1))
    assert module.places == [(1, 77), (0, 1), (0, 2), (1, 1), (1, 1)]
    assert capsule.streams == [1]


class Context:
    def __enter__(self) -> None:
        Context.entered = True

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("handle", "stream"), [(0, 1), (0x7F00, 0x7F00)])
def test_libraries_allocate_and_name_their_stream(
    module: Module, monkeypatch: pytest.MonkeyPatch, handle: int, stream: int
) -> None:
    x = logits(2, 3)

    def new(library: str, shape: tuple[int, ...]) -> Any:
        return type("Array", (Interface,), {"__module__": library})(np.zeros(shape, np.float32), 1)

    def torch_empty(shape: tuple[int, ...], dtype: object, device: object) -> Any:
        assert (dtype, device) == ("f32", "cuda:1")
        return new("torch", shape)

    torch = SimpleNamespace(
        float32="f32",
        empty=torch_empty,
        cuda=SimpleNamespace(current_stream=lambda device: SimpleNamespace(cuda_stream=handle)),
    )
    cupy = SimpleNamespace(
        float32="f32",
        empty=lambda shape, dtype: new("cupy", shape),
        cuda=SimpleNamespace(get_current_stream=lambda: SimpleNamespace(ptr=handle)),
    )
    numba = SimpleNamespace(cuda=SimpleNamespace(device_array=lambda shape, dtype: new("numba", shape)))
    for name, library, device in (("torch", torch, "cuda:1"), ("cupy", cupy, Context()), ("numba", numba, 1)):
        monkeypatch.setitem(sys.modules, name, library)  # type: ignore[misc]
        given = new(name, (2, 3))
        given.array[...] = x
        given.device, given.stream = device, handle or None
        result = sg.special.softmax(given)
        assert type(result).__module__ == name
        np.testing.assert_array_equal(result.array, sg.special.softmax(x))
        assert sg.special.logsumexp(given, keepdims=True).array.shape == (2, 1)
    assert Context.entered
    assert module.places == [(1, stream)] * 6


# ---- errors ----


def test_errors(module: Module) -> None:
    x, y, b = Interface(logits(2, 3)), Interface(np.zeros((2, 3), np.float32)), Interface(np.zeros((2, 3), bool))
    s, lse = sg.special.softmax, sg.special.logsumexp
    there, here = "on a CUDA device", Interface.__module__.partition(".")[0]
    cases = [
        (
            lambda: s(Interface(np.zeros(3)), out=y),
            TypeError,
            f"softmax: x must have dtype float32 {there}, got float64",
        ),
        (
            lambda: s(Interface(np.zeros(3, ">f4")), out=y),
            TypeError,
            f"softmax: x must have dtype float32 {there}, got >f4",
        ),
        (
            lambda: s(Capsule(np.zeros(3, "f2")), out=y),
            TypeError,
            f"softmax: x must have dtype float32 {there}, got float16",
        ),
        (lambda: s(x, out=Interface(np.zeros((2, 3)))), TypeError, "softmax: out must have dtype float32, got float64"),
        (lambda: s(x, where=x, out=y), TypeError, "softmax: where must have dtype bool, got float32"),
        (lambda: s(x, out=logits(2, 3)), TypeError, f"softmax: out must be an array {there}, as x is, got ndarray"),
        (lambda: s(x, where=[True], out=y), TypeError, f"softmax: where must be an array {there}, as x is, got list"),
        (
            lambda: s(x, out=Interface(y.array, 1)),
            ValueError,
            "softmax: out must be on CUDA device 0, as x is, got device 1",
        ),
        (
            lambda: s(x, where=Interface(b.array, 1), out=y),
            ValueError,
            "softmax: where must be on CUDA device 0, as x is, got device 1",
        ),
        (
            lambda: s(x),
            TypeError,
            f"softmax: out must be given for x of {here}, whose arrays are not allocated here, got None",
        ),
        (
            lambda: s(Interface(logits(3), mask=b), out=y),
            TypeError,
            "softmax: x must be a plain array (masks go to `where`), got a masked array",
        ),
        (
            lambda: s(x, temperature=[1.0, 2.0], out=y),
            ValueError,
            f"softmax: temperature must be a number {there}, got shape (2,)",
        ),
        (lambda: s(x, temperature=0.0, out=y), ValueError, "softmax: temperature must be positive and finite, got 0.0"),
        (
            lambda: lse(x, temperature=-1.0, out=y),
            ValueError,
            "logsumexp: temperature must be positive and finite, got -1.0",
        ),
        (lambda: s(x, empty="none", out=y), ValueError, "softmax: empty must be 'nan' or 'zero', got 'none'"),
        (
            lambda: s(x, algorithm="three_pass_reload", out=y),
            ValueError,
            f"softmax: algorithm must be 'auto' or 'two_pass' {there}, got 'three_pass_reload'",
        ),
        (lambda: s(x, axis="0", out=y), TypeError, "softmax: axis must be an int, a tuple of ints or None, got '0'"),
        (lambda: lse(x, 2, out=y), ValueError, "logsumexp: axis must be in [-2, 2), got 2"),
        (lambda: lse(x, b=[1.0], out=y), ValueError, f"logsumexp: b must not be given {there}, got list"),
        (
            lambda: lse(x, return_sign=True, out=y),
            ValueError,
            f"logsumexp: return_sign must not be given {there}, got True",
        ),
        (
            lambda: sg.special.log(x),
            TypeError,
            f"log: x must be on the CPU, got an array {there}, where there is no log",
        ),
        (
            lambda: sg.special.log_softmax(x),
            TypeError,
            f"log_softmax: x must be on the CPU, got an array {there}, where there is no log_softmax",
        ),
    ]
    for call, kind, message in cases:
        assert error_of(call) == (kind, message)
    module.device_of = lambda address: -1  # type: ignore[method-assign]
    kind, message = error_of(lambda: s(Undisclosed(logits(3)), out=y))
    assert kind is ValueError
    assert re.fullmatch(r"softmax: x must be memory of a CUDA device, got address 0x[0-9a-f]+", message)
    assert module.places == []


@pytest.mark.parametrize(
    ("empty", "algorithm", "temperature"),
    [
        ("none", "auto", 1.0), ("nan", "fast", 1.0), ("zero", "two_pass", np.nan), ("nan", "auto", 1e-310),
        ("none", "fast", -1.0), ("nan", "fast", 0.0),
    ],
)  # fmt: skip
def test_options_are_checked_as_on_the_cpu(module: Module, empty: Any, algorithm: Any, temperature: float) -> None:
    x, out = logits(2, 3), np.full((2, 3), 7, np.float32)
    options: Any = {"empty": empty, "algorithm": algorithm, "temperature": temperature}
    expected = error_of(lambda: sg.special.softmax(x, **options))
    assert error_of(lambda: sg.special.softmax(Interface(x), out=Interface(out), **options)) == expected
    assert error_of(lambda: sg._core.special.check_options("softmax", **options)) == expected
    assert not module.places
    assert (out == 7).all()


NO_GPU = {
    3: "initialization error",
    35: "CUDA driver version is insufficient for CUDA runtime version",
    100: "no CUDA-capable device is detected",
}


@pytest.mark.parametrize("code", NO_GPU)
def test_no_gpu(module: Module, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    why = f"CUDA reports error {code}, {NO_GPU[code]}"
    monkeypatch.setattr(module, "device_count", lambda: (0, why))
    monkeypatch.setattr(module, "build_info", dict, raising=False)
    x = Interface(logits(3))
    assert error_of(lambda: sg.special.exp(x)) == (
        RuntimeError,
        f"exp: x must be on the CPU here, got an array on a CUDA device (no GPU: {why})",
    )
    assert cuda.status() == {"built": True, "devices": 0, "reason": f"no GPU: {why}", "build": {}}


def test_not_built(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "sorgum._cuda", None)  # type: ignore[arg-type]
    cuda._module.cache_clear()
    reason = "not built: SORGUM_CUDA=1 pip install . in the sources builds it"
    assert cuda.status() == {"built": False, "devices": 0, "reason": reason, "build": None}
    assert error_of(lambda: sg.special.softmax(Interface(logits(3)))) == (
        RuntimeError,
        f"softmax: x must be on the CPU here, got an array on a CUDA device ({reason})",
    )
    sg.show_config()
    assert f"CUDA             {reason}\n" in capsys.readouterr().out
    monkeypatch.undo()
    cuda._module.cache_clear()


def test_not_loaded_before_it_is_needed() -> None:
    code = "import sys, sorgum as sg; sg.special.softmax([1.0]); print('sorgum._cuda' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# ---- the compiled module ----


@pytest.fixture(scope="module")
def compiled() -> ModuleType:
    """Give the compiled module."""
    return compiled_module()


def test_compiled_as_promised(compiled: ModuleType) -> None:
    assert compiled.__version__ == sg.__version__
    build = compiled.build_info()
    assert "--fmad=false --ftz=false --prec-div=true --prec-sqrt=true" in build["flags"]
    assert re.fullmatch(r"(sm_\d+, )*sm_(\d+), compute_\2", build["targets"])
    devices, reason = compiled.device_count()
    assert (devices > 0) != bool(reason)
    assert devices > 0 or re.match(r"CUDA reports (no device|error \d+, \w+)", reason)


def test_compiled_for_every_architecture(compiled: ModuleType) -> None:
    """Of the module as users get it; tools/gpu_check.py builds one for the device at hand."""
    targets, all_of_them = compiled.build_info()["targets"], "sm_80, sm_90, sm_100, sm_120, compute_120"
    if targets != all_of_them and not os.environ.get("SORGUM_REQUIRE_CUDA"):
        pytest.skip(f"built with SORGUM_CUDA_ARCHITECTURES, for {targets}")
    assert targets == all_of_them


def test_needs_no_library_of_cuda(compiled: ModuleType) -> None:
    dynamic = subprocess.run(["readelf", "-d", compiled.__file__], capture_output=True, text=True, check=True).stdout
    needed = set(re.findall(r"\(NEEDED\).*\[(.+?)\]", dynamic))
    assert needed
    assert needed <= {"libstdc++.so.6", "libm.so.6", "libgcc_s.so.1", "libc.so.6", "ld-linux-x86-64.so.2",
                      "libpthread.so.0", "libdl.so.2", "librt.so.1"}  # fmt: skip
    assert not re.search(r"\((?:RPATH|RUNPATH)\)", dynamic)
    symbols = subprocess.run(
        ["nm", "-D", "--defined-only", compiled.__file__], capture_output=True, text=True, check=True
    )
    strong = [line.split()[2] for line in symbols.stdout.splitlines() if line.split()[1] == "T"]
    assert strong == ["PyInit__cuda", "PyInit__cuda_of_main"]  # csrc/bindings/main_interpreter.h


def test_errors_of_the_compiled_module(compiled: ModuleType) -> None:
    x, y, r = logits(2, 3), np.zeros((2, 3), np.float32), np.zeros(2, np.float32)
    wide, cube = np.zeros((2, 8), np.float32), np.zeros((2, 3, 4), np.float32)
    read_only = np.zeros((2, 3), np.float32)
    read_only.flags.writeable = False
    rows = "must have rows of adjacent elements, all at one distance, on a CUDA device, got shape"
    apart = "share no memory with x on a CUDA device, got arrays that overlap"

    def softmax(
        x: np.ndarray, out: np.ndarray, axes: Any = (-1,), where: np.ndarray | None = None, temperature: float = 1.0
    ) -> None:
        compiled.softmax(view(x), axes, temperature, None if where is None else view(where), view(out), False, 0, 1)

    def logsumexp(x: np.ndarray, out: np.ndarray, axes: Any = (-1,), keepdims: bool = False) -> None:
        compiled.logsumexp(view(x), axes, 1.0, None, view(out), keepdims, 0, 1)

    memory = np.zeros(16, np.float32)
    mask = memory.view(np.uint8)[:6].view(bool).reshape(2, 3)
    cases = [
        (lambda: softmax(x, wide), "softmax: out must have shape (2, 3), got (2, 8)"),
        (lambda: softmax(x, read_only), "softmax: out must be writable, got a read-only array"),
        (lambda: softmax(x, y, (2,)), "softmax: axis must be in [-2, 2), got 2"),
        (lambda: softmax(x, y, (0, 0)), "softmax: axis must not repeat, got 0 again"),
        (lambda: softmax(x, y, temperature=-1.0), "softmax: temperature must be positive and finite, got -1.0"),
        (lambda: softmax(x, y, temperature=1e-310), "softmax: temperature must not be subnormal, got 1e-310"),
        (lambda: softmax(x, y, (0,)), f"softmax: x {rows} (2, 3) with strides (12, 4) in bytes"),
        (
            lambda: softmax(wide[:, ::2], np.zeros((2, 4), np.float32)),
            f"softmax: x {rows} (2, 4) with strides (32, 8) in bytes",
        ),
        (
            lambda: softmax(x, np.zeros((3, 2), np.float32).T),
            f"softmax: out {rows} (2, 3) with strides (4, 8) in bytes",
        ),
        (
            lambda: softmax(cube[:, :2], np.zeros((2, 2, 4), np.float32)),
            f"softmax: x {rows} (2, 2, 4) with strides (48, 16, 4) in bytes",
        ),
        (
            lambda: softmax(x, y, where=np.zeros((3, 3), bool)),
            "softmax: where must broadcast to shape (2, 3), got shape (3, 3)",
        ),
        (
            lambda: softmax(cube, np.ones_like(cube), where=np.zeros((2, 1, 4), bool)),
            f"softmax: where {rows} (2, 3, 4) with strides (4, 0, 1) in bytes",
        ),
        (lambda: softmax(wide[:, :3], wide[:, 1:4]), f"softmax: out must be x itself or {apart}"),
        (
            lambda: softmax(x, memory[:6].reshape(2, 3), where=mask),
            "softmax: out must share no memory with where on a CUDA device, got arrays that overlap",
        ),
        (lambda: logsumexp(x, x[:, 0]), f"logsumexp: out must {apart}"),
        (lambda: logsumexp(x, y), "logsumexp: out must have shape (2,), got (2, 3)"),
        (lambda: logsumexp(x, r, keepdims=True), "logsumexp: out must have shape (2, 1), got (2,)"),
        (lambda: compiled.exp(view(x), view(wide), 0, 1), "exp: out must have shape (2, 3), got (2, 8)"),
        (
            lambda: compiled.exp(view(x.T), view(np.zeros((3, 2), np.float32)), 0, 1),
            f"exp: x {rows} (3, 2) with strides (4, 12) in bytes",
        ),
        (lambda: compiled.exp(view(memory[:8]), view(memory[4:12]), 0, 1), f"exp: out must be x itself or {apart}"),
    ]
    for call, message in cases:
        assert error_of(call) == (ValueError, message)
    assert error_of(lambda: compiled.exp((0, (1,) * 65, (4,) * 65, True), view(x), 0, 1)) == (
        ValueError,
        "x must have at most 64 axes, got 65",
    )


def test_nothing_is_launched_for_nothing(compiled: ModuleType) -> None:
    """Without a device the others would fail."""
    none = np.zeros((0, 3), np.float32)
    compiled.exp(view(none), view(none.copy()), 0, 1)
    compiled.softmax(view(none), (-1,), 1.0, None, view(none.copy()), False, 0, 1)
    compiled.logsumexp(view(none), (-1,), 1.0, None, view(np.zeros(0, np.float32)), False, 0, 1)


def test_a_launch_without_a_gpu(compiled: ModuleType) -> None:
    devices, reason = compiled.device_count()
    if devices:
        pytest.skip("there is a GPU here: tools/gpu_check.py")
    x = logits(2, 3)
    message = f"exp: {reason}"
    assert error_of(lambda: compiled.exp(view(x), view(x), 0, 1)) == (RuntimeError, message)


# ---- what the compiler may have made ----


def test_check_ptx_rejects_what_it_is_there_for() -> None:
    path = ROOT / "tools" / "check_ptx.py"
    spec = importlib.util.spec_from_file_location("check_ptx", path)
    assert spec is not None
    assert spec.loader is not None
    check_ptx = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check_ptx)
    good = "\tfma.rn.f32 \t%f1, %f2, %f3, %f4;\n\tmul.rn.f32 \t%f1, %f2, %f3;\n\tadd.s32 %r1, %r2, %r3;\n"
    assert check_ptx.faults(good) == []
    for line in (
        "\tmul.f32 \t%f1, %f2, %f3;", "\t@%p1 add.f64 \t%fd1, %fd2, %fd3;", "\tadd.rn.ftz.f32 \t%f1, %f2, %f3;",
        "\tdiv.approx.f32 \t%f1, %f2, %f3;", "\tex2.approx.f32 \t%f1, %f2;", "\tdiv.full.f32 \t%f1, %f2, %f3;",
        "\tsub.rz.f32 \t%f1, %f2, %f3;",
    ):  # fmt: skip
        assert check_ptx.faults(good + line + "\n") != [], line
    assert check_ptx.faults("\tadd.s32 %r1, %r2, %r3;\n") == ["no fma in it: is this the PTX of the kernels?"]


# ---- on a GPU ----


def test_the_check_on_a_gpu_rehearsed(tmp_path: Path) -> None:
    """Show that the script runs; of a GPU it shows nothing."""
    command = [sys.executable, str(ROOT / "tools" / "gpu_check.py"), "--out", str(tmp_path), "--quick", "--rehearse"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = tmp_path.iterdir()
    report = json.loads(file.read_text())
    assert report["rehearsal"]
    assert {step: result["status"] for step, result in report["steps"].items()} == {
        "exp": "passed", "gumbel": "passed", "golden": "passed", "noise": "passed", "draws": "passed", "rows": "passed",
        "speed": "passed", "sanitizer": "not run",
    }  # fmt: skip


def test_the_check_sees_a_fault(tmp_path: Path) -> None:
    code = (
        "import sys, runpy, numpy as np; sys.path[:0] = ['tests/support', 'tools']; import gpu_check, cuda_stand_in\n"
        "def wrong(self, x, out, device, stream):\n"
        "    cuda_stand_in.host(out, 'f4')[...] = np.exp(cuda_stand_in.host(x, 'f4'))\n"
        "cuda_stand_in.Module.exp = wrong\n"
        "try: gpu_check.check_exp(gpu_check.Rehearsal(), True)\n"
        "except AssertionError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-Wignore", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert re.match(r"exp of the words from 0x[0-9a-f]{8} on: \d+ of 1048576 differ", done.stdout), done.stderr
