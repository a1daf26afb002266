"""The matrices that PyAMG bundles or makes: solved where relaxation can do it, else an honest end."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import sorgum as sg

pyamg = pytest.importorskip("pyamg")
gallery, sparse = pyamg.gallery, pytest.importorskip("scipy.sparse")


def example(name: str) -> Any:
    return sparse.csr_array(gallery.load_example(name)["A"])


def stencil(of: str, epsilon: float, theta: float) -> Any:
    return gallery.stencil_grid(gallery.diffusion_stencil_2d(epsilon, theta, of), (30, 30), format="csr")


def triangles() -> Any:
    vertices, elements = gallery.regular_triangle_mesh(14, 14)
    laplacian, _ = pyamg.gallery.fem.gradgradform(pyamg.gallery.fem.Mesh(vertices, elements))
    return laplacian


SOLVED: dict[str, Callable[[], Any]] = {
    "airfoil": lambda: example("airfoil"),
    "bar": lambda: example("bar"),
    "knot": lambda: example("knot"),
    "local_disc_galerkin_diffusion": lambda: example("local_disc_galerkin_diffusion"),
    "recirc_flow": lambda: example("recirc_flow"),
    "unit_cube": lambda: example("unit_cube"),
    "poisson in one dimension": lambda: gallery.poisson((80,), format="csr"),
    "poisson": lambda: gallery.poisson((30, 31), format="csr"),
    "poisson in three dimensions": lambda: gallery.poisson((9, 10, 11), format="csr"),
    "poisson by finite elements": lambda: gallery.poisson((30, 30), type="FE", format="csr"),
    "poisson, bsr": lambda: gallery.poisson((16, 16), format="bsr"),
    "anisotropic, FE": lambda: stencil("FE", 0.01, np.pi / 6),
    "anisotropic, FD": lambda: stencil("FD", 0.01, np.pi / 6),
    "rotated by 45 degrees": lambda: stencil("FE", 0.001, np.pi / 4),
    "linear_elasticity": lambda: gallery.linear_elasticity((12, 12))[0],
    "advection_2d": lambda: gallery.advection_2d((20, 20))[0],
    "float32": lambda: gallery.poisson((20, 20), format="csr", dtype=np.float32),
}


@pytest.mark.parametrize("name", SOLVED)
def test_solved(name: str, rng: np.random.Generator) -> None:
    a = SOLVED[name]()
    before = a.data.tobytes()
    b = rng.standard_normal(a.shape[0]).astype(a.dtype)
    gauss_seidel = sg.sor.sor_result(a, b, omega=1.0, maxiter=6000)
    result = sg.sor.sor_result(a, b, maxiter=14000)
    assert result.info == 0
    assert np.linalg.norm(b - a @ np.float64(result.x)) <= 1.001e-5 * np.linalg.norm(b)
    if gauss_seidel.info == 0:
        assert result.iterations <= 2 * gauss_seidel.iterations + 50
    assert a.data.tobytes() == before


def test_a_singular_square(rng: np.random.Generator) -> None:
    """Its smallest eigenvalue is 4e-16: a random right-hand side has no solution, one in the range has."""
    a = example("unit_square")
    b = rng.standard_normal(a.shape[0])
    result = sg.sor.sor_result(a, b, maxiter=50000)
    assert result.info == -2
    assert np.isfinite(result.x).all()
    assert sg.sor.sor(a, a @ b, maxiter=50000)[1] == 0


def test_indefinite(rng: np.random.Generator) -> None:
    """Helmholtz's equation: complex numbers are refused; no relaxation solves the real part."""
    a = example("helmholtz_2D")
    b = rng.standard_normal(a.shape[0])
    with pytest.raises(
        TypeError, match=r"^sor: A must be float32, float64, bool or integer, got dtype .*complex128.*$"
    ):
        sg.sor.sor(a, b)
    result = sg.sor.sor_result(a.real, b, maxiter=3000)
    assert result.info in (-1, 3000)
    assert np.isfinite(result.x).all()
    with pytest.raises(TypeError, match=r"got dtype .*complex128"):
        sg.sor.sor(gallery.gauge_laplacian(8), np.ones(64))


def test_without_a_diagonal() -> None:
    """Stokes' equations have a block of zeros there."""
    vertices, elements = gallery.regular_triangle_mesh(6, 6)
    with pytest.raises(ValueError, match=r"^sor: A must have .* in row \d+"):
        sg.sor.sor(gallery.sprand(40, 40, 0.1), np.ones(40))
    laplacian = triangles()
    singular = sg.sor.sor_result(laplacian, np.ones(laplacian.shape[0]), nullspace="constant")
    assert singular.info == -2
    assert vertices.shape[0] == elements.max() + 1
