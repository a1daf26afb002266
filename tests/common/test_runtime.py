"""Run-time controls: instruction set, threads, environment, fork, Ctrl-C, the floating-point environment."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable

import numpy as np
import pytest
from interrupts import ends_within, others_run_during

import sorgum as sg
from sorgum import __main__ as command_line

OUR_VARIABLES = ("SORGUM_ISA", "SORGUM_NUM_THREADS", "OMP_NUM_THREADS")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="tests facilities of Linux")


def run(code: str, *, timeout: float = 60, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that has only these of our variables."""
    unset = {
        *OUR_VARIABLES,
        "KMP_DUPLICATE_LIB_OK",
    }  # that one may be from threadpoolctl, which pytest's process imported
    env = {name: value for name, value in os.environ.items() if name not in unset} | environment
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout, check=False)


def output(code: str, *, timeout: float = 60, **environment: str) -> str:
    done = run(code, timeout=timeout, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def import_error(**environment: str) -> str:
    """Return the last line of the traceback of `import sorgum`."""
    done = run("import sorgum", **environment)
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr.strip().splitlines()[-1]


# Instruction sets


def test_isas_are_known_and_ordered() -> None:
    known = ["scalar", "avx2", "avx512"]
    assert sg.available_isas() == tuple(name for name in known if name in sg.available_isas())
    assert sg.available_isas()[0] == "scalar"
    assert sg.isa() in sg.available_isas()


def test_set_isa(isa: str) -> None:
    assert sg.isa() == isa
    assert sg.show_config("dicts")["isa"]["in_use"] == isa


def test_the_best_isa_is_the_default() -> None:
    assert output("import sorgum; print(sorgum.isa() == sorgum.available_isas()[-1])") == "True"
    assert output("import sorgum; print(sorgum.isa() == sorgum.available_isas()[-1])", SORGUM_ISA="") == "True"


@pytest.mark.parametrize("name", sg.available_isas())
def test_the_environment_forces_an_isa(name: str) -> None:
    assert output("import sorgum; print(sorgum.isa())", SORGUM_ISA=name) == name


@pytest.mark.parametrize("name", ["foo", "AVX2", "avx512 ", "native"])
def test_an_unknown_isa_in_the_environment(name: str) -> None:
    expected = f"RuntimeError: SORGUM_ISA: must be one of 'scalar', 'avx2', 'avx512', got '{name}'"
    assert import_error(SORGUM_ISA=name) == expected


def absent_isa() -> str:
    absent = [name for name in ("avx2", "avx512") if name not in sg.available_isas()]
    if not absent:
        pytest.skip(
            "this machine has every instruction set; tests/cpp/common/test_dispatch.cpp tests the message everywhere"
        )
    return absent[0]


def names_of_available_isas() -> str:
    return ", ".join(f"'{name}'" for name in sg.available_isas())


def test_an_absent_isa_in_the_environment() -> None:
    absent = absent_isa()
    rule = f"must be supported by this machine and build ({names_of_available_isas()}), got '{absent}'"
    assert import_error(SORGUM_ISA=absent) == f"RuntimeError: SORGUM_ISA: {rule}"


def test_set_isa_to_an_absent_one() -> None:
    absent = absent_isa()
    rule = f"must be supported by this machine and build ({names_of_available_isas()}), got '{absent}'"
    with pytest.raises(RuntimeError, match="^" + re.escape(f"set_isa: name {rule}") + "$"):
        sg.set_isa(absent)


def test_set_isa_refuses() -> None:
    before = sg.isa()
    for name in ("foo", "", "Scalar", "scalar\0"):
        with pytest.raises(ValueError, match=r"^set_isa: name must be one of 'scalar', 'avx2', 'avx512', got '"):
            sg.set_isa(name)
    with pytest.raises(ValueError, match=r"^set_isa: name must be one of 'scalar', 'avx2', 'avx512', got 'foo'$"):
        sg.set_isa("foo")
    for wrong, kind in ((None, "NoneType"), (2, "int"), (b"avx2", "bytes")):
        with pytest.raises(TypeError, match=f"^set_isa: name must be a str, got {kind}$"):
            sg.set_isa(wrong)  # type: ignore[arg-type]
    assert sg.isa() == before


# Threads

SHOW_THREADS = """
    import sorgum
    threads = sorgum.show_config("dicts")["threads"]
    print(threads["number"], threads["source"])
"""


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SORGUM_NUM_THREADS": "3"}, "3 SORGUM_NUM_THREADS"),
        ({"OMP_NUM_THREADS": "5"}, "5 OMP_NUM_THREADS"),
        ({"OMP_NUM_THREADS": "6,2,1"}, "6 OMP_NUM_THREADS"),
        ({"OMP_NUM_THREADS": " 7 "}, "7 OMP_NUM_THREADS"),
        ({"SORGUM_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, "3 SORGUM_NUM_THREADS"),
        ({"SORGUM_NUM_THREADS": "3", "OMP_NUM_THREADS": "nonsense"}, "3 SORGUM_NUM_THREADS"),
        ({"SORGUM_NUM_THREADS": "", "OMP_NUM_THREADS": "5"}, "5 OMP_NUM_THREADS"),
        ({"SORGUM_NUM_THREADS": "4096"}, "4096 SORGUM_NUM_THREADS"),
    ],
)
def test_precedence_of_the_thread_variables(environment: dict[str, str], expected: str) -> None:
    assert output(SHOW_THREADS, **environment) == expected


def test_set_num_threads_goes_before_the_environment() -> None:
    code = "import sorgum; sorgum.set_num_threads(2)" + textwrap.dedent(SHOW_THREADS)
    assert output(code, SORGUM_NUM_THREADS="3", OMP_NUM_THREADS="5") == "2 set_num_threads"


@pytest.mark.parametrize("first", ["", "import sorgum"], ids=["alone", "after the main one"])
def test_a_subinterpreter_is_refused(first: str) -> None:
    """It hung for ever: pybind11 asks for the lock of the main interpreter, which another one holds."""
    there = """if True:
        import warnings
        warnings.simplefilter("ignore")
        for _ in range(2):
            try:
                import sorgum
            except ImportError as error:
                print("ImportError:", error, flush=True)
    """
    code = f"""
        {first}
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        there = interpreters.create()
        error = interpreters.run_string(there, {there!r})
        interpreters.destroy(there)
        print(error, {bool(first)} and sorgum.special.softmax([0.0, 0.0]))
    """
    *lines, last = output(code).splitlines()
    assert last == ("None [0.5 0.5]" if first else "None False")
    assert len(lines) == 2
    assert all(line.startswith("ImportError: ") for line in lines)
    if not first:  # else NumPy, which is imported once only, refuses before
        assert lines[0] == "ImportError: sorgum: the interpreter must be the main one, got a subinterpreter"


@on_linux
def test_the_affinity_mask_is_the_default() -> None:
    one = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    assert output(one + textwrap.dedent(SHOW_THREADS)) == "1 CPUs"
    number, source = output(SHOW_THREADS).split()
    assert source == "CPUs"
    assert 1 <= int(number) <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "4097", "9" * 30, " ", "0x2", ",2", "auto"])
def test_a_malformed_number_of_threads_in_the_environment(value: str) -> None:
    expected = f"RuntimeError: SORGUM_NUM_THREADS: must be an integer from 1 to 4096, got '{value}'"
    assert import_error(SORGUM_NUM_THREADS=value) == expected.strip()
    assert output(SHOW_THREADS, OMP_NUM_THREADS=value).split()[1] == "CPUs"  # it was not set for us
    assert output(SHOW_THREADS, OMP_NUM_THREADS=value, SORGUM_NUM_THREADS="3") == "3 SORGUM_NUM_THREADS"


def test_our_own_variable_is_no_list() -> None:
    expected = "RuntimeError: SORGUM_NUM_THREADS: must be an integer from 1 to 4096, got '4,2'"
    assert import_error(SORGUM_NUM_THREADS="4,2") == expected


def test_set_num_threads(threads: Callable[[object], None]) -> None:
    for n in (1, 3, np.int64(2), 4096):
        threads(n)
        assert sg.get_num_threads() == n
    assert type(sg.get_num_threads()) is int


def test_set_num_threads_refuses(threads: Callable[[object], None]) -> None:
    threads(2)
    for n in (0, -1, 4097):
        with pytest.raises(ValueError, match=f"^set_num_threads: n must be from 1 to 4096, got {n}$"):
            threads(n)
    for n in (10**30, -(10**30)):
        with pytest.raises(ValueError, match=r"^set_num_threads: n must be from 1 to 4096, got "):
            threads(n)
    for wrong, kind in ((2.0, "float"), ("2", "str"), (None, "NoneType"), (True, "bool")):
        with pytest.raises(TypeError, match=f"^set_num_threads: n must be an int, got {kind}$"):
            threads(wrong)
    assert sg.get_num_threads() == 2


def test_threadpoolctl_limits_our_threads(threads: Callable[[int], None]) -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    threads(3)
    (entry,) = [entry for entry in threadpoolctl.threadpool_info() if entry["internal_api"] == "sorgum"]
    assert entry["num_threads"] == 3
    assert entry["version"] == sg.__version__
    with threadpoolctl.threadpool_limits(1):
        assert sg.get_num_threads() == 1
        assert sg.show_config("dicts")["threads"]["source"] == "threadpoolctl"
    assert sg.get_num_threads() == 3


IMPORTS = {"before": "import threadpoolctl, sorgum as sg", "after": "import sorgum as sg, threadpoolctl"}


@pytest.mark.parametrize("when", IMPORTS)
def test_threadpoolctl_may_be_imported_at_any_time(when: str) -> None:
    pytest.importorskip("threadpoolctl")
    code = f"""
        import importlib.machinery, inspect, sys
        finders = list(sys.meta_path)
        {IMPORTS[when]}
        sg.set_num_threads(3)
        with threadpoolctl.threadpool_limits(2, user_api="sorgum"):
            print(sg.get_num_threads(), end=" ")
        importlib.reload(threadpoolctl)
        assert sys.meta_path == finders
        assert type(threadpoolctl.__loader__) is importlib.machinery.SourceFileLoader
        assert threadpoolctl.__spec__.loader is threadpoolctl.__loader__
        assert "threadpool_limits" in inspect.getsource(threadpoolctl)
        print(sg.get_num_threads())
    """
    assert output(code) == "2 3"


def test_threadpoolctl_may_be_absent_looked_for_or_old() -> None:
    code = """
        import importlib.util, sys, types
        import sorgum as sg
        found = importlib.util.find_spec("threadpoolctl")  # not imported
        assert found is None or importlib.util.module_from_spec(found).__name__ == "threadpoolctl"
        sys.modules["threadpoolctl"] = None
        for name in ("threadpoolctl", "threadpoolctl.x", "not_threadpoolctl"):
            try:
                __import__(name)
                raise AssertionError(name)
            except ImportError:
                pass
        from sorgum.interop import threadpoolctl
        threadpoolctl.register(types.ModuleType("threadpoolctl"))
        threadpoolctl.register_on_import()
        print(sg.special.exp(0.0))
    """
    assert output(code) == "1.0"


# The process around us


@on_linux
def test_import_changes_nothing() -> None:
    code = """
        import ctypes, locale, os, signal, sys, warnings
        import numpy as np
        libm = ctypes.CDLL("libm.so.6")
        def environment():
            buffer = ctypes.create_string_buffer(64)
            libm.fegetenv(buffer)
            return buffer.raw
        libm.fesetround(0xC00)  # towards zero
        def handlers():
            return [line for line in open("/proc/self/status") if line.startswith("Sig")]  # blocked, ignored, caught
        def umask():
            mask = os.umask(0)
            os.umask(mask)
            return mask
        state = lambda: (environment(), len(os.listdir("/proc/self/task")), signal.getsignal(signal.SIGINT), handlers(),
                         dict(os.environ), sorted(os.listdir("/proc/self/fd")), locale.setlocale(locale.LC_ALL),
                         os.getcwd(), umask(), list(warnings.filters), np.geterr(), sys.getswitchinterval())
        before = state()
        import sorgum
        assert state() == before
        heavy = {"scipy", "torch", "jax", "matplotlib", "pytest", "tqdm", "dask", "threadpoolctl"} & set(sys.modules)
        assert not heavy, heavy
    """
    output(code)


LARGE = """
    import os, signal, sys, threading, time
    import numpy as np
    import sorgum as sg
    x = ((np.arange(1 << 21) * 2654435761 % 4093) / 256).astype(np.float32)
"""


@on_linux
def test_a_strange_floating_point_environment_changes_nothing() -> None:
    code = (
        LARGE
        + """
    import ctypes, struct
    libm = ctypes.CDLL("libm.so.6")
    environment = ctypes.create_string_buffer(64)
    x[:1000] = -95.0  # these come out subnormal
    sg.set_num_threads(2)
    expected = sg.special.softmax(x).tobytes()
    assert libm.fegetenv(environment) == 0
    normal = environment.raw
    # MXCSR stands behind the 28 bytes of the x87 environment: set FTZ, DAZ and round towards zero.
    (mxcsr,) = struct.unpack_from("<I", normal, 28)
    struct.pack_into("<I", environment, 28, mxcsr | 0x8040 | 0x6000)
    out = np.empty_like(x)
    for threads in (1, 2, 3):
        sg.set_num_threads(threads)
        out[...] = 0
        libm.fesetenv(environment)
        sg.special.softmax(x, out=out)
        after = ctypes.create_string_buffer(64)
        libm.fegetenv(after)
        libm.fesetenv(normal)
        assert struct.unpack_from("<I", after.raw, 28)[0] & 0xE040 == 0xE040
        assert out.tobytes() == expected
    """
    )
    if os.uname().machine != "x86_64":
        pytest.skip("reads MXCSR")
    output(code)


@on_linux
def test_a_forked_child_computes_in_parallel() -> None:
    code = (
        LARGE
        + """
    sg.set_num_threads(2)
    expected = sg.special.softmax(x).tobytes()
    parallel = len(os.listdir("/proc/self/task"))
    assert parallel >= 2, parallel
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        assert len(os.listdir("/proc/self/task")) == 1
        same = sg.special.softmax(x).tobytes() == expected
        os._exit(0 if same and len(os.listdir("/proc/self/task")) >= 2 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert sg.special.softmax(x).tobytes() == expected
    """
    )
    output(code)


@on_linux
def test_multiprocessing_with_fork() -> None:
    code = (
        LARGE
        + """
    import multiprocessing
    sg.set_num_threads(2)
    def digest(i):
        return hash(sg.special.softmax(x + np.float32(i)).tobytes()[:64])
    if __name__ == "__main__":
        here = [digest(i) for i in range(4)]
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map_async(digest, range(4)).get(timeout=30) == here
    """
    )
    output(code)


def test_exit_during_work_in_a_daemon_thread() -> None:
    code = (
        LARGE
        + """
    sg.set_num_threads(4)
    def work():
        while True:
            sg.special.softmax(x)
    threading.Thread(target=work, daemon=True).start()
    time.sleep(0.3)
    """
    )
    output(code)


@on_linux
def test_ctrl_c_ends_a_long_call(threads: Callable[[int], None]) -> None:
    row = np.broadcast_to(np.float32(1), (1 << 35,))  # half a minute of work, no memory
    x = (np.arange(1 << 21) * 2654435761 % 4093).astype(np.float32) / 256
    for count in (1, 2):
        threads(count)
        assert ends_within(0.1, lambda: sg.special.logsumexp(row), after=0.5)
        assert abs(sg.special.softmax(x).sum(dtype=float) - 1) < 1e-6  # and all is usable


@on_linux
def test_other_threads_run_during_a_long_call(threads: Callable[[int], None]) -> None:
    row = np.broadcast_to(np.float32(1), (1 << 35,))
    for count in (1, 2):
        threads(count)
        assert others_run_during(lambda: sg.special.logsumexp(row))


# What is shown


def test_show_config(capsys: pytest.CaptureFixture[str]) -> None:
    assert sg.show_config() is None  # type: ignore[func-returns-value]
    text = capsys.readouterr().out
    for part in (sg.__version__, sg.isa(), ", ".join(sg.available_isas()), np.__version__, "-ffp-contract=off"):
        assert part in text
    config = sg.show_config("dicts")
    assert config["version"] == sg.__version__
    assert config["isa"] == {"in_use": sg.isa(), "available": list(sg.available_isas())}
    assert config["threads"]["number"] == sg.get_num_threads()
    assert set(config["build"]["flags"]) >= set(sg.available_isas())
    for flags in config["build"]["flags"].values():
        assert "-ffp-contract=off" in flags
    with pytest.raises(ValueError, match=r"^show_config: mode must be one of 'stdout', 'dicts', got 'json'$"):
        sg.show_config("json")  # type: ignore[call-overload]


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["info"]) == 0
    text = capsys.readouterr().out
    sg.show_config()
    assert text == capsys.readouterr().out
    assert command_line.main(["info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == sg.show_config("dicts")


@pytest.mark.parametrize("arguments", [["nonsense"], ["--nonsense"], ["info", "--nonsense"]])
def test_a_wrong_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command_line.main(arguments)
    assert stopped.value.code == 2
    assert "usage: python -m sorgum" in capsys.readouterr().err


def test_the_command_line_as_a_module() -> None:
    def done(*arguments: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "sorgum", *arguments]
        process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        return process.returncode, process.stdout, process.stderr

    assert done("--version") == (0, f"sorgum {sg.__version__}\n", "")
    assert done() == done("--help")
    status, text, errors = done()
    assert (status, errors) == (0, "")
    for command in ("info", "selftest", "bench"):
        assert f"{command}:" in text


def test_output_that_nobody_reads() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "sorgum", "info"]
    process = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(writing)
    assert (process.returncode, process.stderr) == (1, b"")


def test_free_threading_stays_on() -> None:
    is_enabled = getattr(sys, "_is_gil_enabled", None)
    if is_enabled is None or not sys.version.count("free-threading"):
        pytest.skip("this interpreter has a global lock")
    assert not is_enabled(), "import sorgum turned the lock on"


def test_signals_go_to_the_application() -> None:
    # A job in the background is started to ignore it.
    assert signal.getsignal(signal.SIGINT) in (signal.default_int_handler, signal.SIG_IGN)
