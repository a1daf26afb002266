"""Keys: seeds of streams, and keys made from keys."""

import dataclasses
from typing import TypeAlias

import numpy as np

from sorgum import _core
from sorgum._arguments.scalars import unsigned_of, word64_of
from sorgum.interop.arrays import is_int, kind_of

__all__ = ["Key", "Rng", "fold_in", "key", "split"]

Rng: TypeAlias = "Key | int | np.random.Generator"  # a string: NumPy imports its generators when they are named


# The last word of the counter that a derived key is made from; rows have 0 there (csrc/math/stream.h).
_FOLD, _SPLIT = 1, 2


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """A key of 64 bits: the seed of every stream drawn with it.

    Parameters
    ----------
    value : int
        From 0 to 2**64 - 1.

    Examples
    --------
    >>> import sorgum as sg
    >>> sg.random.Key(7)
    Key(0x0000000000000007)
    """

    value: int

    def __post_init__(self) -> None:
        """Check the value."""
        object.__setattr__(self, "value", word64_of("Key", "value", self.value))

    def __repr__(self) -> str:
        """Show the value in hexadecimal digits."""
        return f"Key(0x{self.value:016x})"


_core.random.set_key_type(Key)


def key_of(function: str, rng: object) -> int:
    """Return the 64 bits of a Key, an int seed, or the next word of a NumPy Generator."""
    if isinstance(rng, Key):
        return rng.value
    if is_int(rng):
        return word64_of(function, "rng", rng)
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(0, 2**64, dtype=np.uint64))
    raise TypeError(f"{function}: rng must be a Key, an int seed or a numpy Generator, got {kind_of(rng)}")


def own_key_of(function: str, rng: object) -> int:
    """Return the key of a call that has to draw what another call draws: a Generator would give it another one."""
    if isinstance(rng, np.random.Generator):
        rule = "must be a Key or an int seed, the same in every call (make one once by sorgum.random.key)"
        raise TypeError(f"{function}: rng {rule}, got a numpy Generator")
    return key_of(function, rng)


def key(seed: int) -> Key:
    """Return the key of a seed.

    Parameters
    ----------
    seed : int
        From 0 to 2**64 - 1. Any two seeds give unrelated streams.

    Returns
    -------
    Key
        The seed is its value.

    Raises
    ------
    TypeError, ValueError
        If the seed is no integer or out of range.

    Examples
    --------
    >>> import sorgum as sg
    >>> sg.random.key(42)
    Key(0x000000000000002a)
    """
    return Key(word64_of("key", "seed", seed))


def fold_in(key: Key | int, data: int) -> Key:
    """Return a key made from a key and a number: one per layer, per worker, per epoch.

    Parameters
    ----------
    key : Key or int
        The key to start from.
    data : int
        From 0 to 2**64 - 1.

    Returns
    -------
    Key
        Words 0 and 1 of the Philox block {data low, data high, 0, 1} under `key`. It has 64 bits: among 2**32 keys
        folded from one key two are expected to be equal.

    Raises
    ------
    TypeError, ValueError
        If an argument is no integer or out of range.

    Examples
    --------
    >>> import sorgum as sg
    >>> key = sg.random.key(1)
    >>> sg.random.fold_in(key, 5), sg.random.fold_in(key, 6)
    (Key(0x85bc4d1d0dfe5764), Key(0xa70fa7820c2601e5))
    """
    return Key(_core.random.derived_key(_own("fold_in", key), word64_of("fold_in", "data", data), _FOLD))


def split(key: Key | int, num: int = 2) -> tuple[Key, ...]:
    """Return keys made from a key, unrelated to each other, to it, and to those of `fold_in`.

    Parameters
    ----------
    key : Key or int
        The key to start from.
    num : int, default 2
        How many, fewer than 2**24. For more, ``fold_in(key, i)`` makes each when it is needed.

    Returns
    -------
    tuple of Key
        The first ones are the same whatever `num` is: key i is words 0 and 1 of the Philox block {i low, i high, 0, 2}
        under `key`.

    Raises
    ------
    TypeError, ValueError
        If an argument is no integer or out of range.

    Examples
    --------
    >>> import sorgum as sg
    >>> sg.random.split(sg.random.key(1))
    (Key(0x6b5c693b2fe424f7), Key(0x49f7d7d72ca4f974))
    """
    own, count = _own("split", key), unsigned_of("split", "num", num, 24)
    return tuple(Key(_core.random.derived_key(own, i, _SPLIT)) for i in range(count))


def _own(function: str, key: object) -> int:
    return key.value if isinstance(key, Key) else word64_of(function, "key", key)
