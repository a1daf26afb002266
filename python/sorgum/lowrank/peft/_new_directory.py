"""A directory that appears whole or not at all: written beside its place, made durable, then renamed."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from types import TracebackType
from typing import Self

import numpy as np

from sorgum._arguments.arrays import Array
from sorgum.lowrank.peft._refusals import Argument

__all__ = ["NewDirectory", "NewFile"]

_AT_A_TIME = 8 << 20  # bytes per call of the system: some milliseconds, so that Ctrl-C is heard
_NO_COPY_IN_KERNEL = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY}


class NewFile:
    """A file of a `NewDirectory`, written from its beginning to its end."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)

    def write(self, data: bytes | Array) -> None:
        """Write all bytes of a string or of a contiguous array, whatever the system takes at a time."""
        view = memoryview(data if isinstance(data, bytes) else data.reshape(-1).view(np.uint8).data)
        while view:
            written = os.write(self._descriptor, view[:_AT_A_TIME])
            if written == 0:
                raise OSError(errno.EIO, "nothing more can be written", self.path)
            self._written(written)
            view = view[written:]

    def copy(self, source: int, begin: int, count: int) -> None:
        """Write bytes of another open file, in the kernel where it can."""
        while count:
            try:
                copied = os.copy_file_range(source, self._descriptor, min(count, _AT_A_TIME), begin)
            except OSError as error:
                if error.errno not in _NO_COPY_IN_KERNEL:
                    raise
                data = os.pread(source, min(count, _AT_A_TIME), begin)
                self.write(data)
                copied = len(data)
            else:
                self._written(copied)
            if copied == 0:
                raise OSError(errno.EIO, f"a file that is copied has become shorter: it lacks {count} bytes", self.path)
            begin, count = begin + copied, count - copied

    def _written(self, count: int) -> None:
        """Have Linux begin to write these bytes back: little is left for fsync to wait for, while Ctrl-C waits for it.

        That is what it does for pages that are said not to be needed and are not on the disk yet; it keeps them.
        """
        os.posix_fadvise(self._descriptor, self._end, count, os.POSIX_FADV_DONTNEED)
        self._end += count


class NewDirectory:
    """A directory that comes into being at the end of a `with` block, unless that is left by an error.

    Until then it is `.NAME.XXXXXXXX.partial` in the same directory. An error removes it; a process that is killed
    leaves it behind under that name, and nothing under its own.

    Parameters
    ----------
    argument : Argument
        In whose name a path is refused that is taken, or lies in no directory.
    path : str
    """

    def __init__(self, argument: Argument, path: str) -> None:
        self._argument = argument
        self.path = os.path.abspath(path)
        self._parent, name = os.path.split(self.path)
        if os.path.lexists(self.path):
            raise argument.refusal("be a path where nothing is yet", repr(path))
        if not name or not os.path.isdir(self._parent):
            raise argument.refusal("lie in a directory that is there", repr(path))
        self._partial = os.path.join(self._parent, f".{name}.{secrets.token_hex(4)}.partial")
        self._directories = [self._partial]

    def __enter__(self) -> Self:
        os.mkdir(self._partial)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._appear()
        except BaseException:
            shutil.rmtree(self._partial, ignore_errors=True)
            raise
        if kind is not None:
            shutil.rmtree(self._partial, ignore_errors=True)

    def file(self, name: str) -> NewFile:
        """Return a new file; `name` may lie in directories, which are made."""
        path = self._partial
        *directories, last = name.split(os.sep)
        for directory in directories:
            path = os.path.join(path, directory)
            if path not in self._directories:
                os.mkdir(path)
                self._directories.append(path)
        return NewFile(os.path.join(path, last))

    def _appear(self) -> None:
        for directory in reversed(self._directories):
            _make_durable(directory)
        if os.path.lexists(self.path):  # a rename would replace an empty directory
            raise self._argument.refusal("be a path where nothing is yet", f"{self.path!r}, made in the meantime")
        os.rename(self._partial, self.path)
        try:
            _make_durable(self._parent)
        except BaseException:
            shutil.rmtree(self.path, ignore_errors=True)
            raise


def _make_durable(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
