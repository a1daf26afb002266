"""Data that the tests, `sorgum selftest` and the documentation read: golden digests and error bounds."""

import json
from importlib import resources
from typing import Any

__all__ = ["load"]


def load(name: str) -> Any:
    """Return the contents of a JSON file of this folder.

    Parameters
    ----------
    name : str
        "golden" or "bounds".

    Returns
    -------
    dict
        What the file holds.

    Examples
    --------
    >>> sorted(load("golden"))[0]
    'lowrank.apply.bf16'
    """
    return json.loads(resources.files(__name__).joinpath(f"{name}.json").read_text())
