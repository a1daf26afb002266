"""The command line: `python -m sorgum {info,selftest,bench,merge}`."""

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence

import sorgum

_MODULES = {"selftest": "sorgum.selftest", "bench": "sorgum.bench", "merge": "sorgum.lowrank.peft.command"}


def info(arguments: Sequence[str]) -> int:
    """Print what runs here and how it was built.

    Parameters
    ----------
    arguments : sequence of str
        `--json`, or nothing.

    Returns
    -------
    int
        0.
    """
    parser = argparse.ArgumentParser(prog="python -m sorgum info", description="What runs here, and how it was built.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    if parser.parse_args(arguments).json:
        print(json.dumps(sorgum.show_config("dicts"), indent=2))
    else:
        sorgum.show_config()
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command and its own arguments; those of the process by default. Without any, help is printed.
        The modules of all but `info` are imported only when called for; each has a function `main(arguments) -> int`.

    Returns
    -------
    int
        The exit status.
    """
    parser = argparse.ArgumentParser(
        prog="python -m sorgum",
        description="sorgum: kernels with the same bits on every instruction set and number of threads.",
        epilog="'python -m sorgum COMMAND --help' tells more.",
    )
    parser.add_argument("--version", action="version", version=f"sorgum {sorgum.__version__}")
    parser.add_argument(
        "command",
        choices=("info", *_MODULES),
        help="info: version, instruction sets, threads, build; selftest: compare this installation with known answers; "
        "bench: measure this machine; merge: merge LoRA adapters into a checkpoint",
    )
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the command")
    words = sys.argv[1:] if arguments is None else arguments
    if not words:
        parser.print_help()
        return 0
    given = parser.parse_args(words)
    if given.command == "info":
        return info(given.arguments)
    module = importlib.import_module(_MODULES[given.command])
    return int(module.main(given.arguments))


def _run() -> int:
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # as of `python -m sorgum info | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


if __name__ == "__main__":
    sys.exit(_run())
