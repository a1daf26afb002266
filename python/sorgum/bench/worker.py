"""One process of a run: `python -m sorgum.bench.worker SETTINGS RESULT`.

A process per number of threads and instruction set, since libraries read both from their environment when imported.
"""

import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

from sorgum.bench.machine import use_cpus
from sorgum.bench.settings import Settings, choose

__all__ = ["main"]


class Progress:
    """A pytest plugin: a bar on the standard error, and the reasons of what was skipped."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.bar: Any = None
        self.skipped: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Start the bar."""
        self.bar = tqdm(total=len(session.items), desc=self.label, unit="benchmark", mininterval=0.5)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Show what runs."""
        found = re.search(r"\[(.*)\]", nodeid)
        self.bar.set_postfix_str(found[1] if found else "limits", refresh=False)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember why a benchmark was skipped."""
        if report.skipped and isinstance(report.longrepr, tuple):
            self.skipped.append(report.longrepr[2].removeprefix("Skipped: "))

    def pytest_runtest_logfinish(self) -> None:
        """Advance the bar."""
        self.bar.update()

    def pytest_sessionfinish(self) -> None:
        """End the bar."""
        if self.bar is not None:
            self.bar.set_postfix_str("")
            self.bar.close()


def main(arguments: list[str]) -> int:
    """Run the suite with the settings given as JSON, and write what was measured into a file.

    Parameters
    ----------
    arguments : list of str
        The settings and the file's path.

    Returns
    -------
    int
        The exit status of pytest.
    """
    settings = Settings.from_json(arguments[0])
    choose(settings)
    use_cpus(settings.threads)
    progress = Progress(f"{settings.threads} thread{'s' if settings.threads > 1 else ''}")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    with tempfile.TemporaryDirectory() as folder:
        # Neither the configuration nor the plugins of whatever project this is started in.
        configuration, recorded = Path(folder, "pytest.ini"), Path(folder, "recorded.json")
        configuration.write_text("[pytest]\n")
        options = ["-c", str(configuration), "--rootdir", folder, "-p", "pytest_benchmark.plugin"]
        options += [
            "-p",
            "no:cacheprovider",
            "-q",
            "--benchmark-quiet",
            f"--benchmark-json={recorded}",
            "--benchmark-storage",
            folder,
        ]
        status = int(pytest.main([*options, "--pyargs", "sorgum.bench.suite"], plugins=[progress]))
        if status == 0:
            benchmarks = json.loads(recorded.read_text())["benchmarks"]
            found = [one["extra_info"] | {"recorded_min": one["stats"]["min"]} for one in benchmarks]
            Path(arguments[1]).write_text(json.dumps({"benchmarks": found, "skipped": progress.skipped}))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
