"""One process of a run: `python -m sorgum.bench.worker SETTINGS RESULT`.

A process per number of threads and instruction set, since libraries read both from their environment when imported.
"""

import json
import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

from sorgum.bench.machine import use_cpus
from sorgum.bench.settings import Settings, choose, thread_count

__all__ = ["main"]


class Recorder:
    """A pytest plugin: writes every result as soon as it is there, a line of JSON each, and shows a bar.

    What was measured is then in the file however the process ends.
    """

    def __init__(self, label: str, path: Path) -> None:
        self.label = label
        self.file = path.open("w", encoding="utf-8", buffering=1)
        self.bar: Any = None

    def write(self, kind: str, content: object) -> None:
        """Write one line."""
        self.file.write(json.dumps({kind: content}) + "\n")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Start the bar."""
        self.bar = tqdm(total=len(session.items), desc=self.label, unit="benchmark", mininterval=0.5)

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Say what runs, on the bar and in the file."""
        name = item.name.partition("[")[2].removesuffix("]") or "limits"
        self.write("started", name)
        self.bar.set_postfix_str(name, refresh=False)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: Any, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Write what was measured, or why it was not."""
        report = yield
        if call.when == "call" and report.passed:
            benchmark = item.funcargs["benchmark"]
            self.write("benchmark", benchmark.extra_info | {"recorded_min": benchmark.stats.stats.min})
        elif report.skipped and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            parameters = item.callspec.params
            self.write("skipped", {"case": parameters["case"].name, "name": parameters["name"], "reason": reason})
        return report

    def pytest_runtest_logfinish(self) -> None:
        """Advance the bar."""
        self.bar.update()

    def pytest_sessionfinish(self) -> None:
        """End the bar."""
        if self.bar is not None:
            self.bar.set_postfix_str("")
            self.bar.close()


def main(arguments: list[str]) -> int:
    """Run the suite with the settings given as JSON, and write what is measured into a file, line by line.

    Parameters
    ----------
    arguments : list of str
        The settings and the file's path, in a folder that whoever started this removes.

    Returns
    -------
    int
        The exit status of pytest.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends at once, within a peer's long call, too
    settings = Settings.from_json(arguments[0])
    choose(settings)
    use_cpus(settings.threads)
    recorder = Recorder(thread_count(settings.threads), Path(arguments[1]))
    # Neither configuration nor plugins of whatever project this is started in, nor of the environment.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_XDIST_WORKER"):
        os.environ.pop(name, None)
    folder = Path(arguments[1]).parent
    configuration = folder / "pytest.ini"
    configuration.write_text("[pytest]\n")
    options = ["-c", str(configuration), "--rootdir", str(folder), "--noconftest", "-p", "no:cacheprovider"]
    options += ["-p", "pytest_benchmark.plugin", "--benchmark-quiet", "--benchmark-storage", str(folder)]
    # -s: the bar is for whoever waits.
    return int(pytest.main([*options, "-q", "-s", "--pyargs", "sorgum.bench.suite"], plugins=[recorder]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
