"""sor_stencil over ranks of MPI, which are processes: the same digests on 1, 2 and 4 of them."""

import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mpi_grids
import pytest

PROGRAM = Path(mpi_grids.__file__)
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
MISSING = MPIEXEC is None or importlib.util.find_spec("mpi4py") is None
REQUIRED = os.environ.get("SORGUM_REQUIRE_MPI") == "1"

# Open MPI as it is on one machine that has fewer cores than ranks, and, in a container, for its only user.
SETTINGS = {
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}

pytestmark = pytest.mark.skipif(MISSING and not REQUIRED, reason="mpi4py and an MPI come with the extra mpi")


@functools.cache
def on_ranks(size: int) -> Any:
    done = subprocess.run(
        [str(MPIEXEC), "-n", str(size), sys.executable, str(PROGRAM)],
        env={**os.environ, **SETTINGS},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@functools.cache
def alone() -> Any:
    return mpi_grids.alone()


@pytest.mark.parametrize("size", [1, 2, 4])
def test_the_digests_of_one_process(size: int) -> None:
    want, got = alone(), on_ranks(size)["grids"]
    assert got == want
    assert len({digest for digest, _ in want.values()}) == len(want) > 20


@pytest.mark.parametrize("size", [2, 4])
def test_what_is_wrong_on_one_rank_is_raised_on_all(size: int) -> None:
    message = f"sor_stencil: f must have shape (3, 5), got (3, 6) on rank {size - 1}"
    assert on_ranks(size)["refused"] == [message] * size


@pytest.mark.parametrize("size", [1, 2, 4])
def test_an_interrupt_of_one_rank_is_raised_on_all(size: int) -> None:
    """All points have had as many sweeps then, and the handler is the one from before."""
    found = on_ranks(size)["interrupted"]
    assert found["kinds"] == ["KeyboardInterrupt"] * size
    assert found["handlers"] == [True] * size
    (value,) = found["values"]
    assert 0 < value < 1
