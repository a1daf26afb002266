"""Arrays of PyTorch and JAX as arguments, where these are installed; other libraries: test_libraries.py."""

import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dlpack_stand_in import as_bits, logits

import sorgum as sg

s, r = sg.special, sg.random

NO_MEMORY = "must have memory of its own, as tensors within torch.func's transforms and others have not"

# ---- PyTorch ----


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


TORCH_DTYPES = ["float16", "bfloat16", "float32", "float64", "int32", "bool", "uint8"]


def words_of(torch: Any, tensor: Any) -> np.ndarray:
    return as_bits(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())


@pytest.mark.parametrize("dtype", TORCH_DTYPES)
def test_torch_types_and_layouts(torch: Any, dtype: str, bf16: str) -> None:
    whole = torch.from_numpy((np.arange(60) % 7).reshape(3, 4, 5)).to(getattr(torch, dtype))
    for x in (whole, whole.transpose(0, 2), whole[:, ::2, 1:], whole[1, 2, 3], whole[:0], whole[0, 0].expand(6, 5)):
        result = s.softmax(x)
        assert result.shape == x.shape
        assert result.dtype == (x.dtype if x.dtype.is_floating_point else torch.float64)
        wide = x.float() if dtype in ("float16", "bfloat16") else x
        expected = torch.from_numpy(np.asarray(s.softmax(wide.contiguous().numpy()))).to(result.dtype)
        np.testing.assert_array_equal(words_of(torch, result), words_of(torch, expected))


def test_torch_takes_part(torch: Any) -> None:
    x = torch.from_numpy(logits(3, 5))
    assert isinstance(s.logsumexp(x, None), torch.Tensor)
    assert s.logsumexp(x, None).shape == ()
    mask, t = x > 0, torch.tensor([1.0, 2.0, 0.5])
    expected = s.softmax(x.numpy(), where=mask.numpy(), temperature=t.numpy())
    np.testing.assert_array_equal(s.softmax(x, where=mask, temperature=t).numpy(), expected)
    np.testing.assert_array_equal(s.softmax(x.numpy(), where=mask, temperature=t), expected)
    out = torch.empty(5, 3).T
    assert s.softmax(x, where=mask, temperature=t, out=out) is out
    np.testing.assert_array_equal(out.numpy(), expected)
    assert s.softmax(x, out=x) is x
    token = r.categorical(x, rng=1)
    assert token.dtype == torch.int64
    np.testing.assert_array_equal(token.numpy(), r.categorical(x.numpy(), rng=1))
    drawn = r.gumbel_top_k(x, 2, rng=1)
    assert isinstance(drawn, r.TopK)
    assert all(isinstance(field, torch.Tensor) for field in drawn)
    assert isinstance(r.inclusion_weights(x, drawn), torch.Tensor)
    result = s.exp(x)
    result += 1  # it is nobody else's
    assert result.sum() > 0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_torch_draws_from_half_types(torch: Any, dtype: str, bf16: str) -> None:
    x = torch.from_numpy(logits(40, 50)).to(getattr(torch, dtype))
    wide, t = x.float(), torch.tensor(0.5, dtype=x.dtype)
    for given in (x, x.T.contiguous().T):
        assert torch.equal(r.categorical(given, rng=1, temperature=0.5), r.categorical(wide, rng=1, temperature=0.5))
        assert torch.equal(r.categorical(given, rng=1, temperature=t), r.categorical(wide, rng=1, temperature=0.5))
        assert torch.equal(r.categorical(given, rng=1, top_p=0.9), r.categorical(wide, rng=1, top_p=0.9))
        for function in (lambda of: r.gumbel_softmax(of, rng=1), lambda of: r.filter_logits(of, top_k=5)):
            result = function(given)
            assert result.dtype == x.dtype
            assert torch.equal(result, function(wide).to(x.dtype))
        assert r.soft_token_step(given, 3, rng=1).weights.dtype == torch.float32
    out = torch.empty_like(x)
    assert r.gumbel_softmax(x, rng=1, out=out) is out
    assert torch.equal(out, r.gumbel_softmax(wide, rng=1).to(x.dtype))


def test_torch_gradients_are_not_lost_silently(torch: Any) -> None:
    x = torch.zeros(3, requires_grad=True)
    for tensor in (x, torch.nn.Parameter(torch.zeros(3)), x * 2):
        for call, owner in (
            (lambda t: s.softmax(t), "softmax: x"),
            (lambda t: s.softmax(torch.ones(3), temperature=t[0]), "softmax: temperature"),
            (lambda t: s.exp(torch.ones(3), out=t), "exp: out"),
        ):
            with pytest.raises(TypeError) as caught:
                call(tensor)
            assert str(caught.value) == f"{owner} must not require gradients (see detach), got a tensor that does"
    assert s.softmax(x.detach()).sum() == 1


@pytest.mark.parametrize("temperature", [1.0, 0.3, 7.0])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_gradients_are_those_of_autograd(torch: Any, name: str, temperature: float) -> None:
    """In float64, within 2^-44 of the largest element: both round some ten times, and PyTorch rounds x / T."""
    rng = np.random.default_rng(3)
    for n, masked in ((1, False), (17, True), (64, False), (1000, True), (5000, True)):
        x = torch.from_numpy(rng.normal(0, 3, (6, n))).requires_grad_()
        mask = torch.from_numpy(rng.random((6, n)) < 0.7) if masked else torch.ones(6, n, dtype=torch.bool)
        mask[2, :] = not masked  # PyTorch has NaN for rows that are masked whole
        rows = mask.any(-1)
        dy = torch.from_numpy(rng.normal(0, 1, (6, n)))
        scaled = (x / temperature).masked_fill(~mask, -np.inf)[rows]
        of_rows = dy[:, 0].contiguous()
        if name == "logsumexp":
            (expected,) = torch.autograd.grad(torch.logsumexp(scaled, -1), x, of_rows[rows])
            got = s.logsumexp_grad(x.detach(), dy=of_rows, temperature=temperature, where=mask)
        else:
            y = s.__dict__[name](x.detach(), temperature=temperature, where=mask)
            given = torch.where(mask, dy, 0.0)[rows]  # what is absent has no part in the sum of log_softmax, either
            (expected,) = torch.autograd.grad(torch.__dict__[name](scaled, -1), x, given)
            got = s.__dict__[name + "_grad"](y, dy=dy, temperature=temperature, where=mask)
        limit = 2.0**-44 * max(expected.abs().max().item(), 1 / temperature)
        assert (got - expected).abs().max().item() <= limit
        assert (got[~mask] == 0).all()
        assert n == 1 or not (got.roll(1, -1) - expected).abs().max().item() <= limit


def test_torch_negatives_are_not_taken_for_numbers(torch: Any) -> None:
    x = torch.tensor([1 + 2j, 3 - 1j]).conj().imag
    assert x.is_neg()
    with pytest.raises(
        ValueError, match=r"^exp: x must hold its own numbers, got their negatives \(see resolve_neg\)$"
    ):
        s.exp(x)
    np.testing.assert_array_equal(s.exp(x.resolve_neg()).numpy(), s.exp(np.float32([-2, 1])))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch's own modules
def test_torch_within_its_transformations(torch: Any) -> None:
    """New tensors have no memory there, or none of their own."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    x, y = torch.from_numpy(logits(3, 5)), torch.ones(3, 5)
    expected = s.softmax(x.numpy())

    def weighted(v: Any) -> Any:
        return (s.softmax(x) * v).sum()

    func = torch.func
    for result in (func.grad(weighted)(y), func.jacfwd(weighted)(y), torch.vmap(lambda _: s.softmax(x))(y)[0]):
        np.testing.assert_array_equal(result.numpy(), expected)
    assert func.functionalize(weighted)(y) == weighted(y)
    assert func.jvp(weighted, (y,), (y,))[1] == weighted(y)
    with FakeTensorMode():
        assert type(s.softmax(x)) is torch.Tensor
        with pytest.raises(TypeError, match=rf"^softmax: x {NO_MEMORY}, got a tensor without \(FakeTensor\)$"):
            s.softmax(torch.zeros(3))
    for transformed in (func.functionalize(s.softmax), torch.vmap(s.softmax)):
        with pytest.raises(TypeError, match=rf"^softmax: x {NO_MEMORY}, got a tensor without \(Tensor\)$"):
            transformed(y)
    with pytest.raises(
        TypeError, match=r"^softmax: x must not require gradients \(see detach\), got a tensor that does$"
    ):
        func.grad(lambda v: s.softmax(v).sum())(y)


@pytest.mark.filterwarnings("ignore")  # of PyTorch's prototypes
def test_torch_tensors_that_are_more_or_less_than_arrays(torch: Any) -> None:
    from torch.masked import masked_tensor

    x = torch.ones(3)
    for tensor, said in (
        (torch.ones(3, device="meta"), f"{NO_MEMORY}, got a tensor without (meta)"),
        (torch._efficientzerotensor(3), f"{NO_MEMORY}, got a tensor without (Tensor)"),
        (masked_tensor(x, x > 0), f"{NO_MEMORY}, got a tensor without (MaskedTensor)"),
        (torch.eye(3).to_sparse(), "must be dense (see to_dense), got a tensor of layout torch.sparse_coo"),
        (torch.eye(3).to_sparse_csr(), "must be dense (see to_dense), got a tensor of layout torch.sparse_csr"),
    ):
        for call, owner in (
            (lambda t: s.softmax(t), "softmax: x"),
            (lambda t: r.categorical(t, rng=1), "categorical: logits"),
        ):
            with pytest.raises(TypeError) as caught:
                call(tensor)
            assert str(caught.value) == f"{owner} {said}"
    quantised = torch.quantize_per_tensor(x, 0.1, 0, torch.qint8)
    with pytest.raises(TypeError, match=r"^softmax: x must be an array that DLPack can hand over, got torch\.Tensor: "):
        s.softmax(quantised)
    for value in ([x, x], [[x]], torch.max(torch.ones(2, 3), 1), [torch.ones((), dtype=torch.bfloat16)]):
        with pytest.raises(TypeError) as caught:
            s.softmax(value)
        assert str(caught.value) == "softmax: x must be an array or sequences of numbers, got a sequence of Tensor"
    with pytest.raises(TypeError) as caught:
        r.categorical(x, rng=torch.Generator())
    assert str(caught.value) == "categorical: rng must be a Key, an int seed or a numpy Generator, got torch.Generator"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "function",
    [s.exp, lambda t: s.exp(t[:3:2]), lambda t: s.exp(np.ones(3), out=t.double())],
    ids=["plain", "strides", "out"],
)
def test_torch_traces_and_tangents_are_refused(torch: Any, function: Any) -> None:
    """The graph would have the numbers of this call as constants; a tangent would be lost."""
    from torch.autograd import forward_ad
    from torch.fx.experimental.proxy_tensor import make_fx

    x = torch.tensor([0.1, 0.2, 0.3])
    traced = r"^\w+: \w+ must not be traced \(torch\.jit\.trace, make_fx\), since .*, got a tensor that is$"
    for trace in (lambda f: torch.jit.trace(f, (x,), check_trace=False), lambda f: make_fx(f)(x)):
        with pytest.raises(TypeError, match=traced):
            trace(lambda t: function(t) + 1)
        assert function(x) is not None  # afterwards
    with forward_ad.dual_level():
        with pytest.raises(TypeError, match=r"^exp: \w+ must have no tangent, which would be dropped, got a dual "):
            function(forward_ad.make_dual(x, torch.ones(3)))
        assert function(x) is not None
    with pytest.raises(TypeError, match=r"^exp: x must (have no tangent|not be traced)"):
        torch.func.linearize(s.exp, x)


WRITERS: dict[str, Any] = {
    "exp": lambda out: s.exp(out.clone(), out=out),
    "exp in place": lambda out: s.exp(out, out=out),
    "softmax": lambda out: s.softmax(out, out=out),
    "softmax, axis 0": lambda out: s.softmax(out, 0, out=out),
    "of a NumPy array": lambda out: s.softmax(out.numpy().copy(), out=out),
    "log_softmax": lambda out: s.log_softmax(out, out=out),
    "softmax_grad": lambda out: s.softmax_grad(out, dy=out.clone(), out=out),
    "softmax_from_partial": lambda out: s.softmax_from_partial(out, s.logsumexp_partial(out), out=out),
    "filter_logits": lambda out: r.filter_logits(out, top_k=2, out=out),
    "apply_penalties": lambda out: r.apply_penalties(out, [[1]] * 3, out=out),
    "gumbel_softmax": lambda out: r.gumbel_softmax(out, rng=1, out=out),
    "uniform": lambda out: r.uniform((3, 4), rng=1, out=out),
    "gamma": lambda out: r.gamma(np.ones((3, 4)), rng=1, out=out),
}


@pytest.mark.parametrize("name", WRITERS)
def test_torch_knows_of_what_was_written(torch: Any, name: str) -> None:
    """What it kept for a gradient would else be taken for what it was."""
    for make in (lambda: torch.rand(3, 4), lambda: torch.rand(4, 3).T, lambda: torch.rand(2, 3, 4)[1]):
        a, w = make(), torch.ones(3, 4, requires_grad=True)
        z = (a * w).sum()
        before = a._version
        WRITERS[name](a)
        assert a._version > before
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            z.backward()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("function", ["exp", "softmax", "logsumexp", "uniform"])
def test_torch_knows_of_what_was_written_on_a_device(
    torch: Any, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sorgum.interop import cuda, dlpack

    class OnDevice(torch.Tensor):  # type: ignore[misc, name-defined]
        """A tensor that says that it is on a CUDA device."""

        is_cpu = False

        def __dlpack_device__(self) -> tuple[int, int]:
            return dlpack.CUDA, 0

        @property
        def __cuda_array_interface__(self) -> dict[str, Any]:
            return {"shape": tuple(self.shape), "typestr": "<f4", "data": (self.data_ptr(), False), "strides": None}

    written: list[str] = []
    kernels = {
        name: lambda *_, name=name: written.append(name) for name in ("exp", "softmax", "logsumexp", "noise")
    } | {"device_count": lambda: (1, "")}
    module = types.SimpleNamespace(**kernels)
    monkeypatch.setattr(cuda, "_module", lambda: (module, ""))
    monkeypatch.setattr(cuda, "_stream", lambda _: 1)
    x = torch.zeros(3, 4).as_subclass(OnDevice)
    out = torch.zeros(3 if function == "logsumexp" else (3, 4)).as_subclass(OnDevice)
    if function == "uniform":
        assert r.uniform((3, 4), rng=1, out=out) is out
    else:
        assert s.__dict__[function](x, out=out) is out
    assert written == ["noise" if function == "uniform" else function]
    assert out._version == 1
    assert x._version == 0


def test_torch_versions_count_through_views(torch: Any) -> None:
    a, b = torch.ones(3, 4), torch.rand(3)
    s.logsumexp(torch.zeros(3, 5), out=a[:, 1])
    assert a._version == 1
    s.exp(a.detach(), out=a.detach())  # the plain way; PyTorch's own functions count here, too
    assert a._version == 2
    with torch.inference_mode():
        s.exp(torch.ones(3), out=torch.empty(3))
    s.exp(b)
    s.exp(np.float32([1.0]), out=np.zeros(1, np.float32))
    assert b._version == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "function",
    [s.softmax, lambda x: s.softmax(x.T), lambda x: s.softmax(x, where=x > 0), lambda x: r.gumbel_softmax(x, rng=1)],
    ids=["plain", "strides", "where", "noise"],
)
def test_torch_compile_calls_and_does_not_trace(torch: Any, function: Any) -> None:
    x = torch.from_numpy(logits(3, 5))
    compiled = torch.compile(lambda x: function(x + 1) * 2, backend="eager")
    for _ in range(2):
        np.testing.assert_array_equal(compiled(x).numpy(), (function(x + 1) * 2).numpy())


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_torch_memory_is_shared(torch: Any, kind: str) -> None:
    code = """if True:
        import re, sys, torch, sorgum as sg
        def most():  # MiB that were in memory at a time
            return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024
        def more(call):
            before, result = most(), call()
            return most() - before
        x = torch.full((1 << 25,), 1.5, dtype=getattr(torch, sys.argv[1]))
        y = torch.ones_like(x)
        sg.special.softmax(x[:100000], out=y[:100000])
        print(more(lambda: (sg.special.softmax(x, out=y), sg.special.exp(x, out=x))), more(x.clone))
    """
    done = subprocess.run([sys.executable, "-c", code, kind], capture_output=True, text=True, check=True)
    ours, a_copy = map(int, done.stdout.split())
    assert a_copy >= 60  # an array has 64 MiB
    assert ours < 16


def test_torch_works_without_ml_dtypes(torch: Any) -> None:
    code = """if True:
        import sys
        sys.modules["ml_dtypes"] = None
        import torch, sorgum as sg
        x = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.bfloat16)
        print(sg.special.softmax(x).dtype, sg.special.logsumexp(x, b=torch.ones(3)).dtype)
        import numpy as np
        print(np.asarray(sg.special.softmax([0.0, 0.0])))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "torch.bfloat16 torch.float32\n[0.5 0.5]\n"


def test_readme(torch: Any) -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    names: dict[str, Any] = {"sg": sg}
    exec(block, names)
    assert names["probabilities"].dtype == torch.bfloat16
    assert names["tokens"].dtype == torch.int64


# ---- JAX ----


@pytest.fixture(scope="module")
def jax() -> Any:
    return pytest.importorskip("jax")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_jax(jax: Any, dtype: str) -> None:
    jnp = jax.numpy
    x = jnp.asarray(logits(3, 5)).astype(dtype)
    words = as_bits(np.asarray(x)).copy()
    for got, want in (
        (s.softmax(x), s.softmax(np.asarray(x))),
        (s.softmax(x, where=x > 0), s.softmax(np.asarray(x), where=np.asarray(x) > 0)),
        (s.logsumexp(x), s.logsumexp(np.asarray(x))),
        (s.softmax(x[:0]), s.softmax(np.asarray(x)[:0])),
        (s.logsumexp(x, None), np.asarray(s.logsumexp(np.asarray(x), None))),
    ):
        assert isinstance(got, jax.Array)
        assert got.dtype == dtype
        np.testing.assert_array_equal(as_bits(np.asarray(got)), as_bits(want))
    with pytest.raises(ValueError, match=r"^softmax: out must be writable, got a read-only array$"):
        s.softmax(x, out=x)
    np.testing.assert_array_equal(as_bits(np.asarray(x)), words)
    y = np.zeros((3, 5), np.asarray(x).dtype)
    assert s.softmax(x, out=y) is y


def test_jax_arrays_that_are_not_ready(jax: Any) -> None:
    jnp = jax.numpy
    x = jnp.ones((1000, 1000)) / 1000
    for _ in range(20):
        x = x @ x * 1.0
    expected = np.asarray(jax.block_until_ready(x + 0))
    for _ in range(3):
        y = jnp.ones((1000, 1000)) / 1000
        for _ in range(20):
            y = y @ y * 1.0
        np.testing.assert_array_equal(np.asarray(s.exp(y)), s.exp(expected))


def test_jax_draws(jax: Any) -> None:
    x = jax.numpy.asarray(logits(3, 5))
    token = r.categorical(x, rng=1)
    assert isinstance(token, jax.Array)
    np.testing.assert_array_equal(np.asarray(token), r.categorical(np.asarray(x), rng=1))


def test_jax_traced_arrays_are_refused(jax: Any) -> None:
    x, mask = jax.numpy.asarray(logits(3, 5)), np.ones((3, 5), bool)
    calls = {
        "softmax: x": (lambda: jax.jit(s.softmax)(x), lambda: jax.vmap(s.softmax)(x), lambda: jax.grad(s.softmax)(x)),
        "exp: out": (lambda: jax.jit(lambda a: s.exp(np.ones((3, 5)), out=a))(x),),
        "softmax: where": (lambda: jax.jit(lambda m: s.softmax(logits(3, 5), where=m))(mask),),
        "categorical: logits": (lambda: jax.jit(lambda a: r.categorical(a, rng=1))(x),),
    }
    for owner, several in calls.items():
        for call in several:
            with pytest.raises(TypeError) as caught:
                call()
            rule = "must have __dlpack_device__, as arrays that are traced have not"
            assert re.fullmatch(rf"{owner} {rule}, got \w+Tracer", str(caught.value))


def test_torch_tensors_of_too_many_axes_are_refused(torch: Any) -> None:
    for axes in (65, 70):
        with pytest.raises(ValueError, match=rf"^softmax: x\.__dlpack__: ndim must be in \[0, 64\], got {axes}$"):
            s.softmax(torch.ones([1] * axes))


def test_torch_and_jax_meet(torch: Any, jax: Any) -> None:
    x = logits(3, 5)
    t, j = torch.from_numpy(x), jax.numpy.asarray(x)
    assert isinstance(s.softmax(t, where=j > 0), torch.Tensor)
    assert isinstance(s.softmax(j, where=t > 0), jax.Array)
    brain_ = s.softmax_grad(t.bfloat16(), dy=j.astype("bfloat16"))
    assert brain_.dtype == torch.bfloat16


def test_torch_logarithms_of_halves_as_float32(torch: Any) -> None:
    x = torch.from_numpy(logits(40, 50))
    for half in (torch.bfloat16, torch.float16):
        small = x.to(half)
        for function, options in ((s.logsumexp, {}), (s.log_softmax, {"temperature": 0.7}), (s.logsumexp, {"axis": 0})):
            expected = function(small.float(), **options)
            for dtype in (torch.float32, "float32", np.float32):
                got = function(small, dtype=dtype, **options)
                assert got.dtype == torch.float32
                assert torch.equal(got, expected)
            out = torch.zeros_like(expected)
            assert function(small, out=out, **options) is out
            assert torch.equal(out, expected)
            assert function(small, dtype=half, **options).dtype == half
    with pytest.raises(TypeError, match=r"^logsumexp: dtype must be bfloat16 or float32, got torch\.float64$"):
        s.logsumexp(x.bfloat16(), dtype=torch.float64)
