"""What goes wrong around us: memory that runs out, forks and interrupts in the middle of work, many threads at once.

After each of them the next call must give the right bits.
"""

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from interrupts import interrupt

from sorgum import special

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tests facilities of Linux")

START = """
    import os, resource, signal, sys, threading, time
    import numpy as np
    import sorgum as sg
    from sorgum import special
    sg.set_num_threads(2)
    x = ((np.arange(1 << 18) * 2654435761 % 4093) / 256).astype(np.float32)
"""


def output(code: str, *, timeout: float = 600, **environment: str) -> str:
    """Run code in a fresh interpreter and return what it prints. What hangs ends; a busy machine is no fault."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(START) + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# Memory

# Fails the k-th allocation that C++ asks for after fail_allocation(k), in whatever thread.
SHIM = """
#include <atomic>
#include <cstdlib>
#include <new>
static std::atomic<long> left{-1}, seen{0};
extern "C" void fail_allocation(long k) { seen = 0; left = k; }
extern "C" long allocations() { left = -1; return seen; }
void* operator new(std::size_t size) {
    if (left >= 0) {
        ++seen;
        if (left-- == 0) throw std::bad_alloc();
    }
    void* const p = std::malloc(size ? size : 1);
    if (!p) throw std::bad_alloc();
    return p;
}
void* operator new[](std::size_t size) { return operator new(size); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
"""


def test_every_allocation_may_fail(tmp_path: Path) -> None:
    """Whichever allocation fails: a MemoryError, no signal left blocked, and the next call is right."""
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    source, library = tmp_path / "shim.cpp", tmp_path / "shim.so"
    source.write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    code = """
        import ctypes
        shim = ctypes.CDLL(None)
        wide = x.reshape(2, -1)
        calls = {
            "exp": lambda: special.exp(np.repeat(x, 4)[::2]),  # so many that threads are woken for them
            "a shared row of softmax": lambda: special.softmax(x),
            "rows of softmax": lambda: special.softmax(x.reshape(-1, 64)),
            "across memory: softmax": lambda: special.softmax(x.reshape(512, 512), axis=0),
            "masked log_softmax": lambda: special.log_softmax(wide, where=wide > 1, temperature=[1.0, 2.0]),
            "weighted logsumexp": lambda: special.logsumexp(wide, b=wide, axis=(0, 1)),
        }
        def child(name, call, expected, k):
            # A process of its own, whose pool must start its threads. Exits with 1 where an allocation failed.
            signal.alarm(30)
            shim.fail_allocation(k)
            failed = 0
            try:
                result = call()
            except MemoryError as error:
                failed = str(error).startswith(name.split()[-1] + ": no memory for ")
            happened = shim.allocations() > k
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
            right = failed or result.tobytes() == expected
            right = right and (happened or not failed) and not blocked and call().tobytes() == expected
            os._exit((1 if happened else 0) if right else 2)

        for name, call in calls.items():
            expected = call().tobytes()
            k, status = 0, 1
            while status == 1:
                pid = os.fork()
                if pid == 0:
                    child(name, call, expected, k)
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                assert status in (0, 1), (name, k, status)
                k += 1
            assert k > 3, (name, k)
        print("done")
    """
    assert output(code, LD_PRELOAD=str(library), PYTHONWARNINGS="ignore") == "done"


# Every function of special and random, in the types that need most.
SMALL_STACK = """if True:
    import sys, threading, numpy as np, sorgum as sg
    from sorgum.interop import bfloat16
    s, r = sg.special, sg.random
    calls, logits = [], np.linspace(-3, 3, 4 * 4500).reshape(4, 4500)
    for dtype in (np.float16, np.float32, np.float64):
        for x in (logits[:, :33].astype(dtype), logits.astype(dtype), logits.astype(dtype).T):
            y = s.softmax(x)
            for f in (s.exp, s.log, s.softmax, s.log_softmax, s.logsumexp):
                calls += [lambda f=f, x=x: f(x), lambda f=f, x=x: f(x.tolist()), lambda f=f, x=x: f(x[::2, ::3])]
            calls += [
                lambda x=x, y=y: s.softmax_grad(y, dy=x), lambda x=x: s.log_softmax_grad(x, dy=x),
                lambda x=x: s.logsumexp_grad(x, dy=x[:, 0]), lambda x=x: s.softmax(x, axis=0, where=x > 0),
                lambda x=x: s.logsumexp(x, b=x), lambda x=x: s.softmax_from_partial(x, s.logsumexp_partial(x)),
                lambda x=x: s.logsumexp_finish(s.logsumexp_merge(s.logsumexp_partial(x))),
            ]
    x, ids = np.float32(logits), np.array([[1, 2]] * 4)
    bits = bfloat16.rounded(x, bfloat16.bits)
    calls += [
        lambda: s.softmax(bits), lambda: s.logsumexp_grad(bits, dy=bits[:, 0]),
        lambda: r.categorical(x, rng=1), lambda: r.categorical(x, rng=1, top_k=5, top_p=0.5, num_samples=3),
        lambda: r.categorical(x.tolist(), rng=1, return_log_prob=True, method="inverse"),
        lambda: r.filter_logits(x, top_p=0.5, min_p=0.1, top_k=9), lambda: r.apply_penalties(x, ids, frequency=1.0),
        lambda: r.gumbel_merge(r.gumbel_partial(np.stack([x, x]), rng=1, streams=np.zeros((2, 4), int))),
        lambda: r.gumbel_top_k(x, 3, rng=1), lambda: r.gumbel_softmax(x, rng=1), lambda: r.gumbel((4, 4500), rng=1),
        lambda: r.gumbel_softmax(x, rng=1, hard=True), lambda: r.gumbel_softmax_grad(x, dy=x, rng=1),
        lambda: r.bits(9, rng=1), lambda: r.normal(9, rng=1), lambda: r.gamma(np.exp(x), rng=1),
        lambda: r.dirichlet(np.exp(x), rng=1), lambda: r.soft_token_step(x, 3, rng=1),
        lambda: r.dirichlet_resample(x, 3, rng=1), lambda: r.embedding_mix(x[:, :2], ids, x),
        lambda: r.flow_interpolant([0, 1], 4, rng=1, temperature=1.0), lambda: r.binary_concrete(x, rng=1),
        lambda: r.top_k_log_prob(x, ids), lambda: r.truncated_gumbel(x, 0.0, rng=1),
        lambda: r.gumbel_given_max(x, 0.0, rng=1), lambda: r.uniform(9, rng=np.random.default_rng(1)),
    ]
    def run(found):
        for call in calls:
            result = call()
            found += [np.asarray(part).tobytes() for part in (result if isinstance(result, tuple) else [result])]
    expected, found = [], []
    run(expected)
    threading.stack_size(int(sys.argv[1]) * 1024)
    thread = threading.Thread(target=run, args=(found,))
    thread.start()
    thread.join()
    print(len(found), found == expected)
"""


def test_a_result_without_memory_is_named_on_every_way() -> None:
    code = """
        x = np.zeros((3000, 3000), np.float32)
        small = np.zeros((2**17, 2), np.float32)
        pages = int(open("/proc/self/statm").read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**19, resource.RLIM_INFINITY))
        hoard = []
        try:  # until nothing is left, of what the allocator has at hand, too
            while True:
                hoard.append(np.empty(10**5))
        except MemoryError:
            pass
        for call in (
            lambda: special.softmax(x), lambda: special.softmax(x.T), lambda: special.softmax(x[:2**7, :2**11]),
            lambda: special.logsumexp(small), lambda: special.logsumexp(small, axis=(1,)),
            lambda: sg.random.gumbel((300, 3000), rng=1),
        ):
            try:
                call()
            except MemoryError as error:
                print(error)
    """
    lines = output(code).splitlines()
    large = "no memory for a result of shape (3000, 3000) and dtype float32, 36000000 bytes"
    assert lines[:3] == [
        f"softmax: {large}",
        f"softmax: {large}",
        "softmax: no memory for a result of shape (128, 2048) and dtype float32, 1048576 bytes",
    ]
    rows = "logsumexp: no memory for a result of shape (131072,) and dtype float32, 524288 bytes"
    assert lines[3:5] == [rows, rows]
    assert lines[5] == "gumbel: no memory for a result of shape (300, 3000) and dtype float32, 3600000 bytes"


@pytest.mark.parametrize("kibibytes", [32, 64, 96, 256])
def test_threads_of_little_stack(kibibytes: int) -> None:
    done = subprocess.run([sys.executable, "-c", SMALL_STACK, str(kibibytes)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    count, same = done.stdout.split()
    assert int(count) > 200
    assert same == "True"


def test_too_little_address_space() -> None:
    """The result, the scratch memory or a thread's stack does not fit: a MemoryError, or the right result."""
    code = """
        expected = special.softmax(x).tobytes()
        def used():
            return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        outcomes = set()
        for megabytes in (0, 0.5, 1, 2, 4, 8, 16, 64):
            for threads in (1, 2, 16):
                sg.set_num_threads(threads)
                resource.setrlimit(resource.RLIMIT_AS, (used() + int(megabytes * 2**20), hard))
                try:
                    outcomes.add(special.softmax(x).tobytes() == expected)
                    special.softmax(np.broadcast_to(np.float32(1), (1 << 30,)))
                except MemoryError:
                    outcomes.add("MemoryError")
                finally:
                    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
                assert special.softmax(x).tobytes() == expected
        assert outcomes == {True, "MemoryError"}, outcomes
        print("done")
    """
    assert output(code) == "done"


# Forks


def test_forks_in_the_middle_of_work() -> None:
    """The pool is busy, locked or waking up at the moment of the fork; the child neither hangs nor computes wrongly."""
    code = """
        expected = special.softmax(x).tobytes()
        over = threading.Event()
        def work():
            while not over.is_set():
                special.softmax(x)
        workers = [threading.Thread(target=work) for _ in range(2)]
        for worker in workers:
            worker.start()
        for i in range(200):
            child = os.fork()
            if child == 0:
                signal.alarm(30)
                same = special.softmax(x).tobytes() == expected and special.exp(x[:3]).size == 3
                parallel = len(os.listdir("/proc/self/task")) >= 2
                os._exit(0 if same and parallel else 1)
            status = os.waitpid(child, 0)[1]
            assert status == 0, (i, status)
        over.set()
        for worker in workers:
            worker.join()
        assert special.softmax(x).tobytes() == expected
        print("done")
    """
    assert output(code, PYTHONWARNINGS="ignore") == "done"


# Interrupts


def test_interrupts_leave_everything_usable(threads: Callable[[int], None]) -> None:
    """At any moment of calls of every kind: KeyboardInterrupt, no thread more, the right bits after."""
    x = ((np.arange(1 << 18) * 2654435761 % 4093) / 256).astype(np.float32)
    row = np.broadcast_to(np.float32(1), (1 << 33,))
    tall = np.broadcast_to(np.float32(1), (1 << 22, 1 << 11))
    calls = (
        partial(special.logsumexp, row),
        partial(special.logsumexp, tall),
        partial(special.logsumexp, tall, axis=0),
    )
    threads(2)
    expected, most = special.softmax(x).tobytes(), len(os.listdir("/proc/self/task"))
    for i in range(30):
        threads(1 + i % 2)
        interrupt(calls[i % 3], 0.001 + 0.002 * i)
        assert special.softmax(x).tobytes() == expected, i
        assert len(os.listdir("/proc/self/task")) <= most, i


# Threads


def test_64_threads_on_shared_arrays() -> None:
    code = """
        from concurrent.futures import ThreadPoolExecutor
        rows = x.reshape(-1, 64)[:300]
        calls = [lambda: special.softmax(x), lambda: special.log_softmax(rows), lambda: special.logsumexp(rows, axis=0),
                 lambda: special.exp(rows), lambda: special.softmax(x[:7])]
        expected = [call().tobytes() for call in calls]
        barrier = threading.Barrier(64)
        def work(i):
            barrier.wait()
            return all(calls[(i + k) % 5]().tobytes() == expected[(i + k) % 5] for k in range(100))
        with ThreadPoolExecutor(64) as pool:
            assert all(pool.map(work, range(64)))
        print("done")
    """
    assert output(code) == "done"
