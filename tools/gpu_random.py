"""The steps of tools/gpu_check.py for the family random: noise and draws on the device, against the CPU."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from gpu_device import DeviceArray, assert_same_bits

LAWS = ("uniform", "exponential", "gumbel", "logistic", "normal")


def to_bfloat16(x: np.ndarray) -> np.ndarray:
    """Return the 16 bits of float32 numbers rounded to bfloat16."""
    words = np.ascontiguousarray(x).view(np.uint32)
    rounded = ((words.astype(np.uint64) + 0x7FFF + (words >> 16 & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(x), np.uint16(0x7FC0), rounded)


def of_bfloat16(words: np.ndarray) -> np.ndarray:
    """Return the float32 of bfloat16 numbers given by their 16 bits."""
    return (words.astype(np.uint32) << 16).view(np.float32)


def draw_into(out: Any, logits: Any, **options: Any) -> str:
    """Draw into an array at hand, since `categorical` asks the library of the logits for one; return its error."""
    from sorgum import random
    from sorgum.interop import cuda

    before = cuda.new_array
    cuda.new_array = lambda *_: out
    try:
        random.categorical(logits, **options)
    except ValueError as error:
        return str(error)
    finally:
        cuda.new_array = before
    return ""


class OnDevice:
    """`sorgum.random` for arrays of the host by way of the device, where the device can do it."""

    def __init__(self, driver: Any) -> None:
        from sorgum import random

        self.driver, self.random, self.calls = driver, random, {"device": 0, "cpu": 0}

    def __getattr__(self, name: str) -> Any:
        function = getattr(self.random, name)
        if name == "categorical":
            return self.categorical
        if name not in (*LAWS, "bits"):
            return function

        def noise(shape: tuple[int, ...], *, dtype: Any, **options: Any) -> np.ndarray:
            self.calls["device"] += 1
            out = DeviceArray(self.driver, shape, np.dtype(dtype).str)
            function(shape, dtype=dtype, out=out, **options)
            return out.read()

        return noise

    def categorical(self, x: np.ndarray, **options: Any) -> Any:
        """Draw on the device from float32."""
        if x.dtype != np.float32:
            self.calls["cpu"] += 1
            return self.random.categorical(x, **options)
        self.calls["device"] += 1
        samples = options.get("num_samples")
        drawn = DeviceArray(self.driver, x.shape[:-1] if samples is None else (*x.shape[:-1], samples), "i8")
        said = draw_into(drawn, DeviceArray.of(self.driver, x), **options)
        assert said == "", said
        return drawn.read()


# ---- noise ----


def noise_calls(quick: bool) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
    rng = np.random.default_rng(8)
    for n in (1, 2, 3, 4, 5, 31, 64, 255, 1023, 4097, 100003):
        for offset in (0, 1, 2, 3, 2**31 - 5, 2**33 - 3, 2**34 - 7, 2**62 - n):
            rows = 3 if n > 1000 else 257
            if quick and offset not in (0, 3, 2**34 - 7, 2**62 - n):
                continue
            place = {name: rng.integers(0, 2**64, rows, dtype=np.uint64) for name in ("streams", "position")}
            yield (rows, n), {"rng": n, "index_offset": offset, **place}
    yield (1, 1 << (18 if quick else 24)), {"rng": 5, "position": 2**64 - 1}
    yield (1 << (12 if quick else 20), 3), {"rng": 5}


def check_noise(driver: Any, quick: bool, every: int = 1) -> dict[str, Any]:
    from sorgum import random

    calls = numbers = 0
    stream = driver.stream()

    def check(law: str, shape: tuple[int, int], dtype: str, expected: np.ndarray, options: dict[str, Any]) -> None:
        nonlocal calls, numbers
        shift = expected.itemsize * (calls % 5)
        out = DeviceArray(driver, shape, dtype, shift, (None, 1, 2, stream)[calls % 4])
        function: Callable[..., object] = getattr(random, law)
        function(shape, dtype=dtype if dtype == "bfloat16" else expected.dtype, out=out, **options)
        assert_same_bits(out.read(), expected, f"{law} of {shape}, {dtype}, {options}, {shift} bytes off")
        calls += 1
        numbers += expected.size

    for shape, places in itertools.islice(noise_calls(quick), 0, None, every):
        for dtype in ("u4", "u8"):
            check("bits", shape, dtype, random.bits(shape, dtype=np.dtype(dtype), **places), places)
        for law in LAWS:
            for options in ({**places, "bits": bits} for bits in (32, 64)):
                for dtype in ("f4", "f8"):
                    expected = getattr(random, law)(shape, dtype=np.dtype(dtype), **options)
                    check(law, shape, dtype, expected, options)
                    if law == "gumbel" and dtype == "f4":
                        check(law, shape, "bfloat16", to_bfloat16(expected), options)
    return {"calls": calls, "numbers": numbers}


def check_gumbel(driver: Any, quick: bool) -> dict[str, Any]:
    """Compare the Gumbel numbers of all words."""
    from sorgum import _core
    from sorgum.interop import cuda

    block = 1 << (20 if quick else 26)
    step = (1 << 32) // 8 if quick else block
    given, out = DeviceArray(driver, (block,), "f4"), DeviceArray(driver, (block,), "f4")
    call, expected = cuda.Call("gumbel", out), np.empty(block, np.float32)
    to, source, (device, stream) = call.x.view(), cuda.Call("gumbel", given).x.view(), call.place
    arguments = {"law": "gumbel", "wide": False, "key": 0, "streams": None, "index_offset": 0, "shape": (block,)}
    count = 0
    for first in range(0, 1 << 32, step):
        words = np.arange(first, first + block, dtype=np.uint64).astype(np.uint32).view(np.float32)
        given.write(words)
        call.module.noise(
            **arguments, positions=None, position=0, dtype="float32", out=to, given=source, device=device, stream=stream
        )
        _core.random.noise(**arguments, position=np.array(0), out=expected, given=words)
        assert_same_bits(out.read(), expected, f"gumbel of the words from {first:#010x} on")
        count += block
    return {"inputs": count}


# ---- draws ----

LENGTHS = (
    0, 1, 2, 3, 15, 16, 17, 127, 128, 129, 511, 513, 1000, 1023, 1024, 1025, 4095, 4096, 4097, 16385, 65535, 65536,
    65537, 131072, 262147, (1 << 22) + 5,
)  # fmt: skip


def logits_of(kind: str, rows: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(n * 1000 + rows)
    x = (3 * rng.standard_normal((rows, n))).astype(np.float32)
    if kind == "ties":
        x = np.round(x / 3)
    elif kind == "shifted":
        x += np.float32(30000)
    elif kind == "specials" and n > 0:
        x[rng.random(x.shape) < 0.3] = -np.inf
        x[0, n // 2] = np.nan
        x[-1, n // 3] = np.inf
        x[rows // 2] = -np.inf
    return x


def draw_calls(quick: bool) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    for n in LENGTHS:
        if quick and n > 70000:
            continue
        for rows in (1, 3, 133, 4096):
            if rows * n <= (1 << 17 if quick else 1 << 22) or (rows == 1 and not quick):
                yield logits_of("normal", rows, n), {"position": n, "index_offset": n % 5}
    rng = np.random.default_rng(3)
    for n in (5, 100, 1000, 3000, 9000, 100003):
        for kind in ("normal", "ties", "shifted", "specials"):
            x = logits_of(kind, 5, n)
            streams, position = (rng.integers(0, 2**64, 5, dtype=np.uint64) for _ in range(2))
            yield x, {"streams": streams, "position": position, "index_offset": 2**34 - 7}
            yield x, {"temperature": np.array([0.0, 0.5, 1e-20, 3.0, 1e6]), "index_offset": 2**62 - n}
            yield x, {"num_samples": 7, "streams": streams}
            mask = rng.random(x.shape) < 0.7
            mask[1] = False
            yield x, {"where": mask}
            yield x, {"where": mask[2], "temperature": 0.0}


def error_of(x: np.ndarray, **options: Any) -> str:
    """Return what the CPU says to a draw."""
    from sorgum import random

    try:
        random.categorical(x, **options)
    except ValueError as error:
        return str(error)
    return ""


def check_draws(driver: Any, quick: bool, every: int = 1) -> dict[str, Any]:
    from sorgum import random

    calls = 0
    stream = driver.stream()
    for x, options in itertools.islice(draw_calls(quick), 0, None, every):
        words = to_bfloat16(x)
        with np.errstate(over="ignore"):
            half = x.astype(np.float16)
        for dtype, given, wide in (
            ("f4", x, x), ("bfloat16", words, of_bfloat16(words)), ("f2", half, half.astype(np.float32)),
        ):  # fmt: skip
            expected = random.categorical(wide, rng=calls, on_invalid="minus_one", **options)
            there = dict(options)
            if "where" in options:
                there["where"] = DeviceArray.of(driver, options["where"], calls % 4)
            shift = given.itemsize * (calls % 5)
            logits = DeviceArray.of(driver, given, shift, (None, 1, 2, stream)[calls % 4], dtype)
            driver.synchronise()
            drawn = DeviceArray(driver, expected.shape, "i8")
            what = f"categorical of {x.shape}, {dtype}, {sorted(options)}, {shift} bytes off"
            said = draw_into(drawn, logits, rng=calls, on_invalid="minus_one", **there)
            assert said == "", f"{what}: {said}"
            assert_same_bits(drawn.read(), expected, what)
            said = draw_into(drawn, logits, rng=calls, **there)
            assert said == error_of(wide, rng=calls, **options), f"{what}: {said}"
            calls += 1
    x = logits_of("ties", 4, 300000)
    logits, drawn = DeviceArray.of(driver, x), DeviceArray(driver, (4,), "i8")
    expected = random.categorical(x, rng=1)
    for _ in range(3 if quick else 100):
        draw_into(drawn, logits, rng=1)
        assert_same_bits(drawn.read(), expected, "categorical once more")
        calls += 1
    return {"calls": calls}
