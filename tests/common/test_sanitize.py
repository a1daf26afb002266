"""The build with sanitizers (tools/sanitize) finds what it is there to find."""

import subprocess
import sys
import textwrap

import pytest

import sorgum as sg

pytestmark = pytest.mark.sanitize


def test_an_overrun_is_seen(isa: str) -> None:
    """A vector beyond what was allocated ends the process, with a report.

    Compilers leave masked loads alone, so that a part of a vector is not seen: test_guard_pages.py is for those.
    """
    if "-fsanitize=address" not in sg.show_config("dicts")["build"]["flags"]["scalar"]:
        pytest.skip("built without sanitizers; tools/sanitize builds with them")
    code = f"""
        import numpy as np
        import sorgum as sg
        sg.set_isa("{isa}")
        x = np.zeros(1001, dtype=np.float32)
        for n in (1001, 1024):
            sg.special.logsumexp(np.lib.stride_tricks.as_strided(x, (n,)))
            print(n, flush=True)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert done.stdout.split() == ["1001"]
    assert "ERROR: AddressSanitizer: " in done.stderr
