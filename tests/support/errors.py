"""What a call raises, with its whole message."""

import re
from collections.abc import Callable
from typing import Any

import pytest


def raises(kind: type[Exception], message: str) -> Any:
    """Expect an error of that class whose message is this one and nothing more."""
    return pytest.raises(kind, match="^" + re.escape(message) + "$")


def error_of(call: Callable[[], Any]) -> tuple[type, str]:
    """Return class and message of the error that a call raises."""
    with pytest.raises((TypeError, ValueError, RuntimeError)) as caught:
        call()
    return caught.type, str(caught.value)
