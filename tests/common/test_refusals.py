"""Every parameter of every public function, and odd values: what is refused, how it is said, what is left alone."""

import contextlib
import decimal
import fractions
import functools
import importlib
import inspect
import itertools
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import sorgum as sg
from sorgum import _core
from sorgum.interop import bfloat16, dlpack
from sorgum.interop.libraries import open_to_libraries

s, r = sg.special, sg.random

X = np.linspace(-2.0, 2.0, 12, dtype=np.float32).reshape(3, 4)
P = s.softmax(X)
IDS = np.array([[0, 1], [2, 3], [1, -1]])
LOGS = np.log(np.float32([[0.5, 0.5], [0.25, 0.75], [1.0, 1.0]]))
PARTS = s.logsumexp_partial(X)
TOPS = r.gumbel_top_k(X, 2, rng=1)
SHARDS = r.gumbel_partial(np.stack([X, X]), rng=1, streams=np.zeros((2, 3), np.int64))

# What every function is given where the argument in question is not: of these whatever it has no default for.
GIVEN: dict[str, Any] = {
    "x": X, "y": P, "dy": X, "p": PARTS, "logits": X, "shape": (3, 4), "rng": 1, "grad": X, "tokens": IDS,
    "log_points": np.log(P), "upper": 1.0, "maximum": 1.0, "weights": P[:, :2], "indices": IDS, "log_weights": LOGS,
    "embeddings": X, "targets": np.array([0, 1, 2]), "categories": 4, "temperature": 1.0, "points": P, "decay": 1.0,
    "probabilities": P, "velocity": X, "step": 0.1, "time": 0.5, "grads": np.stack([X, X]), "concentration": P,
    "drawn": TOPS, "partials": SHARDS, "k": 2, "key": 1, "seed": 1, "data": 1, "means": np.zeros((4, 4)),
    "scales": np.ones((4, 4)), "values": X, "name": "scalar", "n": 1, "nbytes": 0,
}  # fmt: skip
WITH_SSOR = ("ssor_cg", "ssor_cg_result", "ssor_chebyshev", "ssor_chebyshev_result")
OWN: dict[tuple[str, str], Any] = {
    ("logsumexp_grad", "dy"): X[:, 0],
    ("soft_token_log_prob_grad", "dy"): 1.0,
    ("embedding_mix", "embeddings"): X.T.copy(),
    ("residual_norm", "A"): np.eye(4, dtype=np.float32),
    ("merge", "W"): X,
    ("merge", "A"): X[:2],
    ("merge", "B"): P[:, :2],
    ("apply_adapters", "adapters"): sg.lowrank.AdapterSet([(X[:2], P[:, :2], 1.0)]),
    ("apply_adapters", "ids"): np.zeros(3, int),
    ("apply_grad", "A"): X[:2],
    ("apply_grad", "B"): P[:, :2],
    ("apply_grad", "dy"): P[:, :3],
    ("unmerge", "W"): X,
    ("unmerge", "A"): X[:2],
    ("unmerge", "B"): P[:, :2],
    ("apply", "A"): X[:2],
    ("apply", "B"): P[:, :2],
    ("truncated_svd", "a"): X,
    ("truncated_svd", "rank"): 2,  # by default None: then another argument has to be given
    ("extract", "rank"): 2,
    ("range_finder", "a"): X,
    ("range_finder", "size"): 2,
    ("cholesky_qr", "a"): X.T,
    ("polar", "a"): X,
    ("small_svd", "a"): X,
    ("extract", "W1"): X,
    ("extract", "W0"): -X,
    ("combine", "adapters"): [(X[:2], P[:, :2], 1.0)],
    ("combine", "weights"): [1.0],
    ("residual_norm", "x"): X[0],
    ("residual_norm", "b"): X[1],
    ("sor", "A"): 4 * np.eye(4, dtype=np.float32) + np.eye(4, k=1, dtype=np.float32),
    ("sor", "b"): X[1],
    ("sor_result", "A"): 4 * np.eye(4, dtype=np.float32) + np.eye(4, k=1, dtype=np.float32),
    ("sor_result", "b"): X[1],
    **{(name, "A"): np.eye(4, dtype=np.float32) for name in ("SSOR", *WITH_SSOR)},
    **{(name, "b"): np.zeros(4) for name in WITH_SSOR},  # at once, without a callback
    ("softmax_from_partial", "p"): PARTS,
    ("flow_velocity", "probabilities"): P,
}
for _family in _core.families():  # what a family has in tests/support/cases
    OWN |= getattr(importlib.import_module(f"cases.{_family}"), "ARGUMENTS", {})


class Indexed:
    """Says that it is an integer and then does not."""

    def __index__(self) -> int:
        raise OverflowError("no integer after all")


class Arrays:
    """Says that it makes an array and then does not."""

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise KeyError("no array after all")


class Metres(np.ndarray):
    """Numbers that are not what they stand for."""

    def __array_ufunc__(self, *_: Any, **__: Any) -> Any:
        raise AssertionError


class Number(float):
    """A subclass of a number of Python."""


RAGGED: Any = [[1.0, 2.0], [3.0]]
LOOP: list[Any] = []
LOOP.append(LOOP)
ODD: dict[str, Any] = {
    "10**5000": 10**5000,
    "None": None, "False": False, "True": True, "a numpy bool": np.True_, "class": int, "dtype": np.dtype(np.float64),
    "numpy class": np.uint32, "function": len, "module": sys, "object": object(), "Ellipsis": ..., "str": "nonsense",
    "empty str": "", "bytes": b"12", "dict": {"a": 1}, "set": {1, 2}, "slice": slice(3), "range": range(3),
    "-1": -1, "0": 0, "3": 3, "2**31": 2**31, "2**40": 2**40, "2**62": 2**62, "2**63": 2**63, "2**64": 2**64,
    "-2**63": -(2**63), "-2**64": -(2**64), "10**400": 10**400, "1.5": 1.5, "nan": np.nan, "inf": np.inf,
    "-inf": -np.inf,
    "tiny": 5e-324, "1e-50": 1e-50, "1e300": 1e300, "complex": 1j, "decimal": decimal.Decimal("1.5"),
    "fraction": fractions.Fraction(1, 3), "int8": np.int8(-3), "uint64": np.uint64(2**64 - 1),
    "float16": np.float16(2.0),
    "longdouble": np.longdouble("1e4000"), "datetime": np.datetime64("2000-01-01"), "a Number": Number(2.0),
    "()": (), "[]": [], "(1, 2)": (1, 2), "(2**62, 2)": (2**62, 2), "(0, 0)": (0, 0), "(True,)": (True,),
    "[None]": [None],
    "[str]": ["a"], "[1.5, 2.5]": [1.5, 2.5], "65 axes": (1,) * 65, "ragged": RAGGED, "loop": LOOP,
    "[2**64]": [2**64, 1],
    "[-1]": [-1], "[masked]": [np.ma.array([1.0, 2.0], mask=[0, 1])], "[metres]": [np.ones(2).view(Metres)],
    "masked": np.ma.array(X, mask=X > 0), "masked ints": np.ma.array(IDS, mask=IDS < 0), "metres": X.view(Metres),
    "strings": np.array(["a", "b"]), "objects": np.array([None, 1.0]), "complexes": X.astype(complex),
    "longdoubles": X.astype(np.longdouble), "big-endian": X.astype(">f4"), "structured": np.zeros(3, "f4, i4"),
    "bits": bfloat16.rounded(X, bfloat16.bits), "dates": np.array(["2000-01-01"], "M8[D]"), "bools": X > 0,
    "empty": np.zeros((0,)), "no rows": X[:0], "no columns": X[:, :0], "scalar": np.array(1.0),
    "scalar int": np.array(1),
    "column": X[:, :1], "transposed": X.T, "one more axis": X[None], "nans": X * np.nan,
    "infs": np.full((3, 4), np.inf),
    "no elements": np.full((3, 4), -np.inf), "huge": np.full((3, 4), 1e300),
    "large": np.full((3, 4), 3e38, np.float32),
    "negative": -abs(X), "zeros": np.zeros((3, 4)), "per row": np.array([1.0, 2.0, 0.5]),
    "one of three": np.float64([1, np.nan, 1]),
    "ids": np.array([2, 1, 0]), "words": np.array([2**64 - 1, 0, 1], np.uint64), "signed": np.array([-1, 0, 1]),
    "read-only": np.broadcast_to(np.float32(0), (3, 4)),
    "overlapping": np.lib.stride_tricks.as_strided(X.copy(), (3, 4), (4, 4)),
    "float16s": X.astype(np.float16), "Key": r.Key(3), "Generator": np.random.default_rng(3),
    "RandomState": np.random.RandomState(3),
    "TopK": TOPS, "records": PARTS, "shards": SHARDS, "weird int": Indexed(), "weird array": Arrays(),
    "buffer": memoryview(b"123"), "SoftTokens": r.SoftTokens(IDS, LOGS, LOGS),
}  # fmt: skip


def _of_torch() -> dict[str, Any]:
    try:
        import torch
    except ModuleNotFoundError:
        return {}
    x = torch.from_numpy(X.copy())
    return {
        "tensor": x, "tensor.bfloat16": x.bfloat16(), "tensor.T": x.T, "tensor of complex": x.to(torch.complex64),
        "requires_grad": x.clone().requires_grad_(), "meta": x.to("meta"), "sparse": x.to_sparse(),
        "negated": (x + 0j).conj().imag,
        "no storage": torch._efficientzerotensor((3, 4)), "tensors": [x, x], "max": torch.max(x, 1),
        "torch.Generator": torch.Generator(),
        "torch.float32": torch.float32, "half scalar": torch.tensor(2.0, dtype=torch.bfloat16),
        "Size": torch.Size([3, 4]),
    }  # fmt: skip


ODD |= _of_torch()
try:
    import ml_dtypes

    ODD |= {
        "bfloat16": X.astype(ml_dtypes.bfloat16),
        "bfloat16 scalar": ml_dtypes.bfloat16(2.0),
        "int4": X.astype(ml_dtypes.int4),
    }
except ModuleNotFoundError:
    pass

FUNCTIONS: dict[str, Callable[..., Any]] = {
    f"{home}.{name}": function
    for home, module in (*((family, getattr(sg, family)) for family in _core.families()), ("sorgum", sg))
    for name in module.__all__
    if callable(function := getattr(module, name)) and not isinstance(function, type)
}


def given(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    """Return arguments with which the function works."""
    parameters, name = inspect.signature(function).parameters, name.partition(".")[2]
    needed = {p for p in parameters if parameters[p].default is inspect.Parameter.empty or (name, p) in OWN}
    return {p: OWN.get((name, p), GIVEN.get(p)) for p in parameters if p in needed}


@functools.cache
def takes_generators(name: str) -> bool:
    """Return whether a function draws with a key from a Generator; those that draw again refuse one."""
    try:
        FUNCTIONS[name](**{**given(name, FUNCTIONS[name]), "rng": np.random.default_rng(5)})
    except TypeError:
        return False
    return True


def state_of(generator: Any) -> str:
    return repr(generator.bit_generator.state)


def complaint(function: Callable[..., Any], name: str, argument: str, value: Any) -> str | None:
    """Call the function, and return what is wrong with how it behaves: "" if it refuses, None if it does not."""
    arguments = {**given(name, function), argument: value}
    generator, out = np.random.default_rng(5), np.full((3, 4), 7.0, np.float32)
    if "rng" in arguments and argument != "rng" and takes_generators(name):
        arguments["rng"] = generator
    if "out" in inspect.signature(function).parameters and argument != "out":
        arguments["out"] = out
    rest = [a for a in arguments.values() if isinstance(a, np.ndarray) and a is not out and a is not value]
    before = [state_of(generator), out.tobytes(), *(a.tobytes() for a in rest)]
    own = value.copy() if type(value) is np.ndarray else None
    if isinstance(value, np.random.Generator):
        before.append(state_of(value))
    try:
        function(**arguments)
        return None
    except (TypeError, ValueError, RuntimeError, MemoryError) as error:
        said, kind = str(error), type(error)
    parameters = "|".join([*inspect.signature(function).parameters, "stack"])
    short = name.partition(".")[2]
    form = rf"{short}: (?:{parameters})\b.* must .+, got .+"
    if kind is MemoryError:
        form = rf"{short}: .+"
    if kind not in (TypeError, ValueError, RuntimeError, MemoryError, np.linalg.LinAlgError):
        return f"{kind.__name__}: {said}"
    if not re.fullmatch(form, said, re.DOTALL) or "[('bfloat16'" in said:
        return f"{kind.__name__}: {said}"
    after = [state_of(generator), out.tobytes(), *(a.tobytes() for a in rest)]
    if isinstance(value, np.random.Generator):
        after.append(state_of(value))
    if after != before:
        return f"not left alone: {said}"
    if own is not None and own.tobytes() != value.tobytes():
        return f"{argument} not left alone: {said}"
    return ""


@pytest.fixture
def settings() -> Iterator[None]:
    before = sg.isa(), sg.get_num_threads(), sg.get_memory_pool()
    yield
    sg.set_isa(before[0])
    sg.set_num_threads(before[1])
    sg.set_memory_pool(before[2])


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_odd_arguments(name: str) -> None:
    function, found, refused = FUNCTIONS[name], [], 0
    parameters = inspect.signature(function).parameters
    for argument in parameters:
        for what, value in ODD.items():
            if (argument, what) == ("callback", "class"):
                continue  # it is called, and raises an error of its own
            if argument == "sweeps" and isinstance(value, int | np.integer) and value >= 2**31:
                continue  # so many are made
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                try:
                    wrong = complaint(function, name, argument, value)
                except Exception as error:  # none of those that may be, or a warning
                    wrong = f"{type(error).__name__}: {error}"
            refused += wrong is not None
            if wrong:
                found.append(f"{name}({argument}={what}): {wrong}")
    assert not found, "\n".join(found)
    assert refused >= 20 * len(parameters)


ADAPTERS = {name: getattr(sg.lowrank.adapters, name) for name in ("LoRA", "PiSSA", "SoMA", "SVFit", "HiRA", "NOLA")}
ADAPTERS["FLoRA"] = sg.tucker.FLoRA


@pytest.mark.parametrize("name", ADAPTERS)
def test_odd_arguments_of_adapters(name: str) -> None:
    """Of their methods, each of which refuses in its own name or answers."""
    adapter = ADAPTERS[name].init(X, 2)
    for parameter in adapter.parameters.values():
        parameter += 0.25
    calls: dict[str, tuple[Callable[..., Any], dict[str, Any], tuple[str, ...]]] = {
        f"{name}.init": (ADAPTERS[name].init, {"W": X, "rank": 2}, ("W", "rank", "scale", "rng")),
        f"{name}.forward": (adapter.forward, {"x": X}, ("x", "base", "out")),
        f"{name}.grad": (adapter.grad, {"x": X, "dy": X[:, :3]}, ("x", "dy")),
        f"{name}.merge": (adapter.merge, {}, ("W", "out")),
        f"{name}.unmerge": (adapter.unmerge, {"W": adapter.merge(), "base": X}, ("W", "base", "out")),
        "parameters": (adapter.parameters.__setitem__, {}, tuple(adapter.parameters)),
    }
    found, refused = [], 0
    for own, (call, arguments, names) in calls.items():
        for argument, (what, value) in itertools.product(names, ODD.items()):
            given = {**arguments, argument: value}
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                try:
                    call(argument, value) if own == "parameters" else call(**given)
                except (TypeError, ValueError, MemoryError) as error:
                    refused += 1
                    form = rf"{own}: .+" if isinstance(error, MemoryError) else rf"{own}: .* must .+, got .+"
                    if re.fullmatch(form, str(error), re.DOTALL):
                        continue
                    found.append(f"{own}({argument}={what}): {error}")
                except Exception as error:
                    found.append(f"{own}({argument}={what}): {type(error).__name__}: {error}")
    assert not found, "\n".join(found)
    assert refused >= 20 * sum(len(names) for _, _, names in calls.values())


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_given_is_not_refused(name: str) -> None:
    """Else no odd argument would be looked at."""
    FUNCTIONS[name](**given(name, FUNCTIONS[name]))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_names_and_numbers_of_arguments(name: str) -> None:
    function, short = FUNCTIONS[name], name.partition(".")[2]
    parameters = inspect.signature(function).parameters
    if name.startswith("sorgum."):
        pytest.skip("a function of Python, which says it in its own way")
    arguments = given(name, function)
    names = ", ".join(parameters)
    with refused(f"{short}: arguments must be among {names}, got nonsense"):
        function(**arguments, nonsense=1)
    others = {"dim": "axis", "tau": "temperature", "seed": "rng", "keepdim": "keepdims", "grad": "dy"}
    for theirs, ours in others.items():
        if ours in parameters and theirs not in parameters:
            with refused(f"{short}: {ours} must have this name, got {theirs}"):
                function(**{k: v for k, v in arguments.items() if k != ours}, **{theirs: 1})
    if "where" in parameters:
        with refused(f"{short}: where must have this name (True: present), got mask"):
            function(**arguments, mask=X > 0)
    for left_out in (p for p in arguments if parameters[p].default is inspect.Parameter.empty):
        with refused(f"{short}: {left_out} must be given, got nothing"):
            function(**{k: v for k, v in arguments.items() if k != left_out})
    by_place = [p for p in parameters if parameters[p].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    with refused(f"{short}: {by_place[0]} must be given once, got two values"):
        function(arguments[by_place[0]], **arguments)
    rule = f"after {by_place[-1]} must be given by name" if len(by_place) < len(parameters) else "must not be more"
    with refused(f"{short}: arguments {rule}, got 12 without"):
        function(*[1] * 12)


def test_names_of_arguments_beside_arrays_of_other_libraries() -> None:
    x, generator = dlpack.Exported(X), np.random.default_rng(1)
    for call, message in (
        (lambda: s.softmax(x, dim=1), "softmax: axis must have this name, got dim"),
        (lambda: s.softmax_grad(x), "softmax_grad: dy must be given, got nothing"),
        (lambda: s.softmax_grad(x, x), "softmax_grad: arguments after y must be given by name, got 2 without"),
        (lambda: s.exp(x, x=x), "exp: x must be given once, got two values"),
        (lambda: r.split(1, 2, x), "split: arguments must not be more, got 3 without"),
        (lambda: r.gumbel(rng=generator), "gumbel: shape must be given, got nothing"),
        (lambda: r.gumbel(3, rng=generator, nonsense=3),
         "gumbel: arguments must be among shape, rng, dtype, streams, position, index_offset, bits, out, got nonsense"),
    ):  # fmt: skip
        with refused(message):
            call()


@contextlib.contextmanager
def refused(message: str) -> Iterator[None]:
    with pytest.raises(TypeError) as caught:
        yield
    assert str(caught.value) == message


def test_a_function_that_calls_others_speaks_for_itself() -> None:
    for call, message in (
        (lambda: r.hard_concrete([0.0], rng=None),  # type: ignore[arg-type]
         "hard_concrete: rng must be a Key, an int seed or a numpy Generator, got NoneType"),
        (lambda: r.gumbel_given_max([0.0], 1.0, rng=-1), "gumbel_given_max: rng must be in [0, 2**64), got -1"),
        (lambda: r.gumbel_softmax_grad([1.0], dy=[0.0], rng=1, temperature=0.0),
         "gumbel_softmax_grad: temperature must be positive and finite, got 0.0"),
        (lambda: r.key(int), "key: seed must be an int, got the class int"),  # type: ignore[arg-type]
        (lambda: r.uniform(3, rng=np.uint32),  # type: ignore[arg-type]
         "uniform: rng must be a Key, an int seed or a numpy Generator, got the class uint32"),
        (lambda: r.bits(2**64, rng=1),
         "bits: shape must come to fewer than 2**59 elements, got shape (18446744073709551616,)"),
        (lambda: r.flow_interpolant([0], 2**64, rng=1, temperature=1.0),
         "flow_interpolant: categories must be less than 2**31, got 18446744073709551616"),
        (lambda: r.dirichlet([1.0, 1.0], rng=1, axis=int),  # type: ignore[arg-type]
         "dirichlet: axis must be an int, got <class 'int'>"),
        (lambda: r.categorical([0.0, 0.0], rng=1, position=False),
         "categorical: position must be an integer or an array of them, got dtype dtype('bool')"),
        (lambda: r.apply_penalties(np.zeros((2, 5)), [[1, 2], [3]]),
         "apply_penalties: tokens must be an array, got nested sequences that make none (-1 fills shorter ones up)"),
        (lambda: r.apply_penalties(np.zeros((2, 5)), np.ma.array([[1], [3]], mask=[[True], [False]])),
         "apply_penalties: tokens must be a plain array (masks go to `where`), got a masked array"),
        (lambda: s.softmax([1.0, 2.0], where=np.ma.array([True, False], mask=[0, 1])),
         "softmax: where must be a plain array (a mask of what is hidden in it), got a masked array"),
        (lambda: s.logsumexp([np.ma.array([0.0, 50.0], mask=[0, 1])]),
         "logsumexp: x must be a plain array (masks go to `where`), got a masked array"),
        (lambda: s.exp(X.view(Metres)), "exp: x must be a plain array, got Metres, whose arithmetic is its own"),
        (lambda: s.exp([X.view(Metres)]), "exp: x must be a plain array, got Metres, whose arithmetic is its own"),
        (lambda: s.exp(X, out=X.view(Metres)),
         "exp: out must be a plain array, got Metres, whose arithmetic is its own"),
    ):  # fmt: skip
        with pytest.raises((TypeError, ValueError)) as caught:
            call()
        assert str(caught.value) == message


def test_a_renamed_refusal_keeps_the_class_that_numpy_has_for_it() -> None:
    def decompose(a: Any) -> None:
        sg.lowrank.small_svd(a)

    names = {"__name__": "here", "__all__": ["decompose"], "decompose": decompose}
    open_to_libraries(names)
    with pytest.raises(np.linalg.LinAlgError) as caught:
        names["decompose"](np.full((2, 2), np.nan))  # type: ignore[operator]
    assert str(caught.value) == "decompose: a must be finite, got NaN or an infinity"


def test_a_generator_is_left_alone_unless_it_was_drawn_from() -> None:
    for kind in (np.random.PCG64, np.random.MT19937, np.random.SFC64):
        generator, same = np.random.Generator(kind(3)), np.random.Generator(kind(3))
        with pytest.raises(ValueError, match="position"):
            r.gumbel((2, 3), rng=generator, position=-1)
        with pytest.raises(ValueError, match="streams"):
            r.gumbel((2, 3), rng=generator, streams=[1, 2, 3])
        word = int(same.integers(0, 2**64, dtype=np.uint64))
        np.testing.assert_array_equal(r.gumbel((2, 3), rng=generator), r.gumbel((2, 3), rng=word))
        assert state_of(generator) == state_of(same)


def test_a_refused_call_puts_nothing_back_that_others_drew() -> None:
    generator, same = np.random.default_rng(3), np.random.default_rng(3)

    class Draws:
        """Draws from the generator while it is asked for numbers."""

        def __array__(self, *_: Any, **__: Any) -> np.ndarray:
            generator.integers(0, 2**64, dtype=np.uint64)
            generator.integers(0, 2**64, dtype=np.uint64)
            return np.array([-1])

    with pytest.raises(ValueError, match="position"):
        r.gumbel((1, 3), rng=generator, position=Draws())  # type: ignore[arg-type]
    same.integers(0, 2**64, 3, dtype=np.uint64)  # its own word, and those of the others
    assert state_of(generator) == state_of(same)


def test_lists_of_integers_of_numpy() -> None:
    for ids in ([np.uint64(7), 3], [np.uint64(2**64 - 1), np.int64(3)], [2**64 - 1, np.uint8(3)]):
        words = np.array([int(i) for i in ids], np.uint64)
        for call in (lambda x: r.bits((2, 5), rng=1, streams=x), lambda x: r.bits((2, 5), rng=1, position=x)):
            np.testing.assert_array_equal(call(ids), call(words))


@pytest.mark.parametrize("kind", ["bits", "ml_dtypes"])
def test_temperatures_of_bfloat16(kind: str) -> None:
    if kind == "bits":
        dtype: Any = bfloat16.bits
    else:
        dtype = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    t = bfloat16.rounded(np.float32([0.5, 1.0, 2.5]), dtype)
    wide = np.float64([0.5, 1.0, 2.5])
    calls: list[Callable[[Any], Any]] = [
        lambda t: s.softmax(X, temperature=t),
        lambda t: s.log_softmax(X, temperature=t),
        lambda t: s.logsumexp(X, temperature=t),
        lambda t: s.softmax_grad(P, dy=X, temperature=t),
        lambda t: s.log_softmax_grad(P, dy=X, temperature=t),
        lambda t: s.logsumexp_grad(X, dy=1.0, temperature=t),
        lambda t: s.logsumexp_grad(X, dy=1.0, b=2.0, temperature=t),
        lambda t: s.logsumexp_finish(s.logsumexp_partial(X, temperature=t)),
        lambda t: r.categorical(X, rng=1, temperature=t, top_p=0.5),
        lambda t: r.filter_logits(X, temperature=t, min_p=0.1),
        lambda t: r.gumbel_partial(X, rng=1, temperature=t)["value"],
        lambda t: r.gumbel_softmax(X, rng=1, temperature=t),
        lambda t: r.gumbel_softmax_grad(X, dy=X, rng=1, temperature=t),
        lambda t: r.concrete_log_prob(X, X, temperature=t),
        lambda t: r.concrete_score(X, X, temperature=t)[0],
        lambda t: r.binary_concrete(X.T, rng=1, temperature=t),
        lambda t: r.hard_concrete(X.T, rng=1, temperature=t),
        lambda t: r.soft_token_step(X, 2, rng=1, temperature=t, gumbel_temperature=t).weights,
        lambda t: r.gumbel_resample(X, 2, rng=1, temperature=t, gumbel_temperature=t).weights,
        lambda t: r.dirichlet_resample(X, 2, rng=1, temperature=t, concentration=t).weights,
        lambda t: r.soft_token_log_prob(X, IDS, LOGS, temperature=t),
        lambda t: r.soft_token_log_prob_grad(X, IDS, LOGS, dy=1.0, temperature=t),
        lambda t: r.flow_interpolant([0, 1, 2], 4, rng=1, temperature=t),
        lambda t: r.flow_velocity(P, P, temperature=t, decay=1.0),
        lambda t: r.flow_score(X, [0, 1, 2], temperature=t),
    ]
    for call in calls:
        np.testing.assert_array_equal(call(t), call(wide))


def test_numbers_of_numpy_beside_bfloat16() -> None:
    """A scalar of NumPy has a type, as an array has; a number of Python has none."""
    half = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    for x in (X.astype(half), X.astype(np.float16), X):
        for number in (np.float64(2.0), np.array(2.0), Number(2), 2.0, 2):
            dtype = x.dtype if type(number) in (int, float) else np.float64
            assert s.logsumexp(x, b=number).dtype == dtype
            assert s.logsumexp_grad(x, dy=number).dtype == dtype
            assert s.logsumexp_grad(x, dy=1.0, b=number).dtype == dtype
            assert s.softmax_grad(x[0, 0], dy=number).dtype == dtype
    assert s.logsumexp(X.astype(half), b=np.float32(2.0)).dtype == np.float32
    row = np.float32([1, 2]).astype(half)
    assert s.logsumexp(row, b=np.float64(1e300)) == s.logsumexp([1.0, 2.0], b=1e300)


def test_penalties_that_are_refused_leave_out_alone() -> None:
    x, out = np.ones((1, 3)), np.full((1, 3), 9.0)
    read_only = out[:]
    read_only.flags.writeable = False
    for arguments, message in (
        ({"tokens": [[7]]}, "tokens must be in [-1, 3), got 7"),
        ({"tokens": [[1]], "prompt": [[-2]]}, "prompt must be in [-1, 3), got -2"),
        ({"tokens": [[1]], "repetition": 0.0}, "repetition must be positive and finite, got 0.0"),
        ({"tokens": [[1]], "out": read_only}, "out must be writable, got a read-only array"),
    ):
        with pytest.raises(ValueError, match=rf"^apply_penalties: {re.escape(message)}$"):
            r.apply_penalties(x, **{"out": out, **arguments})
        assert (out == 9.0).all()
    tokens = np.array([[1, 2, -1]])
    out = tokens.view(np.float64)  # which the result is written over
    expected = r.apply_penalties(x, tokens.copy(), frequency=0.5)
    np.testing.assert_array_equal(r.apply_penalties(x, tokens, frequency=0.5, out=out), expected)
    whole = np.arange(4.0)[None]
    expected = r.apply_penalties(whole[:, :3].copy(), [[1]], frequency=0.5)
    np.testing.assert_array_equal(r.apply_penalties(whole[:, :3], [[1]], frequency=0.5, out=whole[:, 1:]), expected)


@pytest.mark.parametrize("shape", [(4,), (1, 4), (1, 1, 4)])
def test_the_id_of_one_row(shape: tuple[int, ...]) -> None:
    """A number, or an array of one, with the axis of the categories kept or not: the same row."""
    x = np.linspace(-1.0, 1.0, 4).reshape(shape)
    calls: list[Callable[[Any], Any]] = [
        lambda ids: r.categorical(x, rng=1, streams=ids),
        lambda ids: r.categorical(x, rng=1, streams=ids, num_samples=3),
        lambda ids: r.gumbel_softmax(x, rng=1, streams=ids),
        lambda ids: r.gumbel_top_k(x, 2, rng=1, streams=ids).indices,
        lambda ids: r.gumbel_resample(x, 2, rng=1, streams=ids).weights,
        lambda ids: r.dirichlet_resample(x, 2, rng=1, streams=ids).weights,
        lambda ids: r.dirichlet(np.exp(x), rng=1, streams=ids),
        lambda ids: r.gumbel(shape, rng=1, streams=ids),
    ]
    rows = shape[:-1]
    for call in calls:
        expected = call(np.full(rows, 5))
        for ids in (5, np.uint8(5), np.full((*rows, 1), 5), np.full(rows, 5).tolist()):
            np.testing.assert_array_equal(call(ids), expected)
        assert not np.array_equal(call(6), expected) or np.size(expected) < 4
