"""The checked functions of csrc/api/sor."""

from typing import Any, Literal

from numpy.typing import NDArray

def residual_norm(
    indptr: NDArray[Any],
    indices: NDArray[Any],
    data: NDArray[Any],
    rows: int,
    columns: int,
    x: NDArray[Any],
    b: NDArray[Any],
) -> float: ...

SUM_WORDS: int

def squares_of_rows(x: NDArray[Any]) -> NDArray[Any]: ...
def merged_norms(parts: NDArray[Any]) -> NDArray[Any]: ...
def share_from(elements: int) -> None: ...
def threads_of_last_sweep() -> int: ...
def sweeps_at_twice() -> int: ...
def sor_batch(
    indptr: NDArray[Any],
    indices: NDArray[Any],
    entries: NDArray[Any],
    rows: int,
    columns: int,
    data: NDArray[Any] | None,
    shift: NDArray[Any] | None,
    b: NDArray[Any],
    x: NDArray[Any],
    omega: NDArray[Any] | None,
    rtol: float,
    atol: float,
    maxiter: int,
    info: NDArray[Any],
    iterations: NDArray[Any],
) -> None: ...

class OmegaRule:
    def __init__(self, weight: float, guarded: bool, begin: float) -> None: ...
    @property
    def omega(self) -> float: ...
    def window(self) -> int: ...
    def observe(self, norms: list[float]) -> Literal["keep", "undo"] | None: ...

class Relaxation:
    def __init__(
        self,
        indptr: NDArray[Any],
        indices: NDArray[Any],
        data: NDArray[Any],
        rows: int,
        columns: int,
        order: str,
    ) -> None: ...
    @property
    def rows(self) -> int: ...
    @property
    def memory(self) -> int: ...
    def sweep(
        self,
        x: NDArray[Any],
        b: NDArray[Any],
        omega: float,
        sweep: str = "forward",
        iterations: int = 1,
        lower: NDArray[Any] | None = None,
        upper: NDArray[Any] | None = None,
        norms: NDArray[Any] | None = None,
        rows: NDArray[Any] | None = None,
    ) -> None: ...
    def residual(self, x: NDArray[Any], b: NDArray[Any], out: NDArray[Any] | None = None) -> float: ...
    def half_solve(self, b: NDArray[Any], omega: float, half: str, out: NDArray[Any]) -> None: ...
    def precondition(self, r: NDArray[Any], omega: float, out: NDArray[Any]) -> None: ...
    def update_values(self, data: NDArray[Any]) -> None: ...
    def shift(self, c: float) -> None: ...
    def magnitude(self) -> tuple[float, float]: ...
    def diagonal(self) -> NDArray[Any]: ...
    def colors(self) -> NDArray[Any]: ...

class BlockRelaxation:
    def __init__(
        self,
        indptr: NDArray[Any],
        indices: NDArray[Any],
        data: NDArray[Any],
        rows: int,
        columns: int,
        order: str,
        size: int,
    ) -> None: ...

class Stencil:
    def __init__(
        self,
        coefficients: NDArray[Any],
        shape: tuple[int, ...],
        boundary: list[tuple[str, str]],
        mask: NDArray[Any] | None,
        fixed: NDArray[Any] | None,
        order: str,
        own: tuple[int, int, int] | None = None,
    ) -> None: ...
    @property
    def colors(self) -> int: ...
    def sweep(
        self,
        u: NDArray[Any],
        f: NDArray[Any],
        omega: float,
        sweeps: int,
        lower: NDArray[Any] | None = None,
        upper: NDArray[Any] | None = None,
        sums: NDArray[Any] | None = None,
    ) -> None: ...
    def residual(self, u: NDArray[Any], f: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]: ...
    def diagonal(self, out: NDArray[Any]) -> None: ...

class SsorCg:
    def __init__(
        self,
        a: Relaxation,
        b: NDArray[Any],
        x: NDArray[Any],
        omega: float,
        adaptive: bool,
        rtol: float,
        atol: float,
        maxiter: int,
        chebyshev: bool,
    ) -> None: ...
    def run(self, iterations: int) -> None: ...
    @property
    def finished(self) -> bool: ...
    @property
    def info(self) -> int: ...
    @property
    def iterations(self) -> int: ...
    @property
    def residual(self) -> float: ...
    @property
    def tolerance(self) -> float: ...
    @property
    def residuals(self) -> list[tuple[int, float]]: ...
    @property
    def omegas(self) -> list[tuple[int, float]]: ...
    @property
    def lower_ends(self) -> list[tuple[int, float]]: ...
