"""tools/check_objects.py finds what it is there to find."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "check_objects.py"
COMPILER = shutil.which("c++")
FLAGS = {"scalar": ["-mno-avx"], "avx2": ["-mavx2", "-mfma"], "avx512": ["-mavx512f"], "baseline": ["-mno-avx"]}

GOOD = """
namespace sorgum {{ struct Table {{ void (*f)(float*); }};
namespace {isa} {{ extern const Table special_table;
namespace {{ void f(float* x) {{ for (int i = 0; i < 64; ++i) x[i] += 1; }} }}
constexpr Table special_table = {{&f}}; }} }}
"""

pytestmark = pytest.mark.skipif(
    COMPILER is None or shutil.which("objdump") is None or sys.platform != "linux",
    reason="needs a compiler and objdump, on Linux",
)


def check(tmp_path: Path, isa: str, source: str, flags: list[str]) -> subprocess.CompletedProcess[str]:
    (tmp_path / "unit.cpp").write_text(source)
    command = [str(COMPILER), "-std=c++17", "-O3", "-fPIC", *flags, "-c", "unit.cpp", "-o", "unit.o"]
    compiled = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if compiled.returncode != 0:
        pytest.skip(f"the compiler refuses {' '.join(flags)}: {compiled.stderr[:200]}")
    command = [sys.executable, str(TOOL), "--isa", isa, "--families", "special", "--objects", "unit.o"]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("isa", ["scalar", "avx2", "avx512"])
def test_a_good_unit_passes(tmp_path: Path, isa: str) -> None:
    flags = [*FLAGS[isa], "-mprefer-vector-width=512"] if isa == "avx512" else FLAGS[isa]
    done = check(tmp_path, isa, GOOD.format(isa=isa), flags)
    assert (done.returncode, done.stdout) == (0, f"{isa}: 1 object files are as they must be\n")


@pytest.mark.parametrize(
    ("isa", "flags", "extra", "said"),
    [
        ("avx2", FLAGS["avx2"], "template <class T> T g(T x) { return x; } template int g(int);", "weak symbol"),
        ("avx2", FLAGS["avx2"], "int g() { return 1; }", "global symbol g()"),
        ("avx2", FLAGS["avx2"], "int h(); int v = h();", ".init_array"),
        ("avx2", FLAGS["avx2"], 'extern "C" double exp(double); static double g = exp(1.5);'
         "namespace sorgum { namespace avx2 { void set(double x) { g = exp(x); } } }", "call of exp"),
        # Code that fills a table runs before anybody asked whether the processor has the instruction set.
        ("avx2", FLAGS["avx2"], "namespace sorgum { namespace avx2 { void fill(Table& t) { t.f = f; } } }",
         "global symbol sorgum::avx2::fill(sorgum::Table&)"),
        ("avx2", FLAGS["avx512"], "", "zmm"),
        ("avx2", FLAGS["scalar"], "", "were its flags in force?"),
        ("scalar", FLAGS["avx2"], "", "instruction"),
        ("baseline", ["-mavx"], "", "instruction"),
    ],
)  # fmt: skip
def test_a_bad_unit_is_found(tmp_path: Path, isa: str, flags: list[str], extra: str, said: str) -> None:
    if flags == FLAGS["avx512"]:
        flags = [*flags, "-mprefer-vector-width=512"]
    done = check(tmp_path, isa, GOOD.format(isa=isa) + extra, flags)
    assert done.returncode == 1
    assert said in done.stdout


def test_a_missing_unit_is_found(tmp_path: Path) -> None:
    done = check(tmp_path, "avx2", GOOD.format(isa="avx512"), FLAGS["avx2"])
    assert done.returncode == 1
    assert "avx2: special_table is not defined" in done.stdout
    done = subprocess.run([sys.executable, str(TOOL), "--isa", "baseline"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "baseline: no object files were given\n")
