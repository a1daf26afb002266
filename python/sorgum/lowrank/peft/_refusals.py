"""What is wrong with a file, said in the name of the function and of the argument that led to it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any, NamedTuple

from sorgum.interop.arrays import kind_of, shown

__all__ = ["Argument", "json_object"]


class Argument(NamedTuple):
    """An argument of a public function; the rules for the files that it names are said in its name."""

    function: str
    name: str

    def refusal(self, rule: str, got: str) -> ValueError:
        """Return the error for a value or a file that breaks a rule."""
        return ValueError(f"{self.function}: {self.name} must {rule}, got {got}")

    def path(self, value: object) -> str:
        """Return a path as a string."""
        if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
            raise TypeError(f"{self.function}: {self.name} must be a path (str or os.PathLike), got {kind_of(value)}")
        path = os.fspath(value)
        if not path or "\0" in path:
            raise self.refusal("be a path that is not empty and has no null character", shown(path))
        return path

    def directory(self, value: object) -> str:
        """Return the path of a directory that is there."""
        path = self.path(value)
        if not os.path.isdir(path):
            raise self.refusal(
                "be a directory", shown(path) if os.path.lexists(path) else f"{path!r}, which is not there"
            )
        return path


def json_object(argument: Argument, text: bytes, file: str, *, strict: bool = True) -> dict[str, Any]:
    """Return the JSON object that a file, or the header of a file, consists of.

    If `strict`, a name that stands twice is refused, as are NaN and infinities: whoever reads such a text next may read
    another. They are found in the configuration of some models.
    """

    def unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if strict and name in found:
                raise ValueError(f"the name {shown(name)} stands twice")
            name.encode()  # a half of a pair of surrogates is no text
            found[name] = value
        return found

    def no_number(text: str) -> float:
        if strict:
            raise ValueError(f"{text} is no number of JSON")
        return float(text)

    try:
        value = json.loads(text.decode(), object_pairs_hook=unique, parse_constant=no_number)
    except (ValueError, RecursionError) as error:  # of UTF-8 and of JSON, too
        raise argument.refusal("have files of valid JSON", f"{file}: {str(error).splitlines()[0]}") from None
    if not isinstance(value, dict):
        raise argument.refusal("have files of valid JSON", f"{file}, which holds no object but {kind_of(value)}")
    return value
