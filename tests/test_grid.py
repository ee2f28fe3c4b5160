"""The PDE on a grid: observed orders, three routes, laws of the scheme, and bad input."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import head_parameters
from scipy.interpolate import CubicSpline
from scipy.special import ndtr
from table import ROWS

import transpde as tp

UNMASKED = [name for name, row in ROWS.items() if not row.masked]
EYE = np.eye(2)
LINE = tp.Gaussian([0.3], factor=[[0.8]])
PLANE = tp.Gaussian([0.3, -0.2], factor=[[0.8, 0.2], [0.0, 0.6]])
Q2 = np.array([[0.5, 0.3], [-0.2, 0.4]])


def box(d, n, R=6.0):
    return [np.linspace(-R, R, n + 1)] * d


def stretched(n):
    """Edges from -6 to 6 whose widths differ by a factor of 2.5."""
    s = np.linspace(-1.0, 1.0, n + 1)
    return 6 * (s + 0.5 * s**3) / 1.5


def l1(a, b):
    """The L1 distance of two densities on one grid."""
    return np.abs(a.masses - b.masses).sum()


def error(gaussian, attention, edges, t):
    """The L1 distance of the flow of the grid from the averages of that of the Gaussian."""
    exact = tp.Grid.from_gaussian(edges, tp.flow(gaussian, attention, t).final)
    path = tp.flow(tp.Grid.from_gaussian(edges, gaussian), attention, [0.0, t])
    check_laws(path)
    return l1(path.final, exact)


def check_laws(path):
    assert np.isfinite(path.densities).all()
    assert path.densities.min() >= -1e-14
    assert max(abs(path[i].masses.sum() - path[0].masses.sum()) for i in range(len(path))) <= 1e-12


# --- order ---------------------------------------------------------------------------------------


def on_line(head, q, v, **options):
    return head([[q]], [[1.0]], [[v]], **options)


LINE_CASES = {
    "softmax, contracting": on_line(tp.Softmax, 1.0, -0.5),
    "softmax, expanding": on_line(tp.Softmax, 0.5, 0.6),
    "l2": on_line(tp.L2, 1.0, 0.4),
    "sinkhorn": on_line(tp.Sinkhorn, -1.0, 0.6, epsilon=0.5),
    "linear": on_line(tp.Linear, -0.8, 0.5),
    "multi-head with feed-forward": tp.MultiHead(
        [on_line(tp.Softmax, 1.0, -0.5), on_line(tp.L2, 1.0, 0.4)]
    )
    + tp.AffineField([[0.2]], [0.3]),
    "in time": lambda t: on_line(tp.Softmax, np.cos(4 * t), 0.8),
}


@pytest.mark.parametrize("case", LINE_CASES)
def test_second_order_on_the_line(case):
    errors = [error(LINE, LINE_CASES[case], box(1, n), 0.4) for n in (100, 200, 400)]
    assert np.log2(errors[1] / errors[2]) >= 1.8
    assert errors[2] <= 2e-4


def test_second_order_on_cells_of_unequal_width():
    attention = LINE_CASES["softmax, expanding"]
    errors = [error(LINE, attention, stretched(n), 0.4) for n in (100, 200, 400)]
    assert np.log2(errors[1] / errors[2]) >= 1.8


PLANE_CASES = {
    "softmax": tp.Softmax(Q2, EYE, 0.6 * EYE),
    "l2": tp.L2(2 * Q2, EYE, 0.6 * EYE),
    "linear": tp.Linear(Q2, EYE, EYE),
    "softmax with rotation": tp.Softmax(Q2, EYE, -0.4 * EYE)
    + tp.AffineField([[0.0, -1.0], [1.0, 0.0]]),
}


@pytest.mark.parametrize("case", PLANE_CASES)
def test_second_order_in_the_plane(case):
    errors = [error(PLANE, PLANE_CASES[case], box(2, n, 5.2), 0.2) for n in (40, 80)]
    assert np.log2(errors[0] / errors[1]) >= 1.8
    assert errors[1] <= 4e-3


def test_sinkhorn_in_the_plane():
    attention = tp.Sinkhorn(Q2, EYE, EYE, epsilon=0.8)
    errors = [error(PLANE, attention, box(2, n, 5.0), 0.2) for n in (16, 32)]
    assert np.log2(errors[0] / errors[1]) >= 1.8


BUMPS = [(-0.9, 0.35, 0.6), (0.8, 0.5, 0.4)]  # centre, width and mass


def bumps(x):
    return sum(
        w * np.exp(-(((x - c) / s) ** 2) / 2) / (s * np.sqrt(2 * np.pi)) for c, s, w in BUMPS
    )


def by_characteristics(attention, t):
    """The distribution function at time t of two bumps, from the tokens of a fine quadrature.

    Tokens keep their order on the line, so each carries the value of the distribution function.
    """
    z, w = np.polynomial.legendre.leggauss(300)
    x = 5 * z
    start = tp.Particles(x[:, None], w * bumps(x) / (w * bumps(x)).sum())
    moved = tp.flow(start, attention, t).final.points[:, 0]
    return CubicSpline(moved, sum(w * ndtr((x - c) / s) for c, s, w in BUMPS))


@pytest.mark.parametrize(
    "attention",
    [
        on_line(tp.Sigmoid, 1.5, 1.0, bias=-0.5),
        on_line(tp.Unnormalized, 0.5, 0.3),
        on_line(tp.Softmax, 2.0, 0.4),
        on_line(tp.Sinkhorn, 1.0, 0.4, epsilon=0.5),
    ],
    ids=lambda head: type(head).__name__,
)
def test_two_bumps_agree_with_characteristics(attention):
    errors = []
    exact = by_characteristics(attention, 0.3)
    for n in (100, 200, 400):
        edges = np.linspace(-5.0, 5.0, n + 1)
        start = tp.Grid.from_density(edges, lambda x: bumps(x[:, 0]))
        path = tp.flow(start, attention, [0.0, 0.3])
        check_laws(path)
        errors.append(np.abs(path.final.masses - np.diff(exact(edges))).sum())
    assert np.log2(errors[1] / errors[2]) >= 1.8
    assert errors[2] <= 3e-4


def test_two_bumps_of_the_plane_converge_to_themselves():
    def density(x):
        return bumps(x[:, 0]) * np.exp(-2 * (x[:, 1] - x[:, 0] / 3) ** 2) * np.sqrt(2 / np.pi)

    attention = tp.MultiHead([tp.Softmax(2 * Q2, EYE, 0.5 * EYE), tp.L2(EYE, EYE, -0.5 * EYE)])
    masses = [
        tp.flow(tp.Grid.from_density(box(2, n, 4.5), density), attention, [0.0, 0.2]).final.masses
        for n in (24, 48, 96)
    ]
    coarse = [M.reshape(24, len(M) // 24, 24, -1).sum(axis=(1, 3)) for M in masses]
    first, second = (np.abs(a - b).sum() for a, b in pairwise(coarse))
    assert np.log2(first / second) >= 1.8


# --- three routes --------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("kind", ["softmax", "l2", "linear"])
def test_three_routes_agree(d, kind):
    Q, K, V = head_parameters(np.random.default_rng([d, 5]), d, size=0.8)
    attention, gaussian = ROWS[kind].make(Q, K, V), (LINE, PLANE)[d - 1]
    exact = tp.flow(gaussian, attention, 0.3).final
    tokens = tp.flow(gaussian.quadrature(24), attention, 0.3).final
    assert np.abs(tokens.mean - exact.mean).max() <= 1e-6
    assert np.abs(tokens.covariance - exact.covariance).max() <= 1e-6
    gaps = []
    for n in (40, 80):
        grid = tp.flow(tp.Grid.from_gaussian(box(d, n), gaussian), attention, [0.0, 0.3]).final
        gaps.append(
            [
                np.abs(grid.mean - tokens.mean).max(),
                np.abs(grid.covariance - tokens.covariance).max(),
            ]
        )
    h = 12 / 80
    assert max(gaps[1]) <= h**2  # the covariance of a piecewise constant density is off by h^2 / 6
    assert np.log2(gaps[0][1] / gaps[1][1]) >= 1.7


# --- laws of the scheme --------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32 - 1), d=st.integers(1, 2))
@settings(max_examples=60)
def test_euler_steps_keep_sign_and_mass(seed, d):
    """Any density, with holes and peaks, any velocities at the faces, cells of any width."""
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 9, size=d)
    edges = [np.cumsum(np.exp(2 * rng.normal(size=n + 1))) for n in shape]
    masses = np.exp(6 * rng.normal(size=shape)) * (rng.random(shape) < 0.7)
    masses[(0,) * d] += 1e-3
    volumes = np.diff(edges[0]) if d == 1 else np.outer(*(np.diff(e) for e in edges))
    grid = tp.Grid(edges, masses / masses.sum() / volumes)
    u = tuple(rng.normal(size=[n + (a == axis) for a, n in enumerate(shape)]) for axis in range(d))
    rate = grid.outflow_rate(u)
    step = 0.5 / rate if rate > 0 else 1.0
    after = grid.density + step * grid.transport(u)
    assert (after * volumes).min() >= -1e-15
    assert abs((after * volumes).sum() - grid.masses.sum()) <= 1e-13


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("name", UNMASKED)
def test_every_attention_forms_clusters_without_loss(name, d):
    """Random heads and a pull to the middle: density from a box with corners into few cells."""
    Q, K, V = head_parameters(np.random.default_rng([d, len(name)]), d, size=1.5)
    attention = ROWS[name].make(Q, K, V) + tp.AffineField(-6 * np.eye(d))
    start = tp.Grid.from_density(
        box(d, 16 if d == 2 else 64, 2.0), lambda x: 0.5**d * (np.abs(x) < 1).all(axis=1)
    )
    path = tp.flow(start, attention, np.linspace(0.0, 1.0, 4))
    check_laws(path)
    assert path.final.density.max() > 2 * path[0].density.max()


def test_tokens_gather_in_single_cells():
    head = tp.Softmax([[4.0]], [[1.0]], [[1.0]]) + tp.AffineField([[-1.0]])
    start = tp.Grid.from_density(np.linspace(-2.0, 2.0, 81), lambda x: 0.5 * (np.abs(x[:, 0]) < 1))
    path = tp.flow(start, head, [0.0, 1.0, 8.0])
    check_laws(path)
    assert np.sort(path.final.masses)[-4:].sum() > 0.9
    assert path.final.masses == pytest.approx(path.final.masses[::-1], abs=1e-9)  # still even


def test_a_linear_density_is_carried_exactly():
    """Slopes are exact for linear densities on cells of any width, along each axis."""
    rng = np.random.default_rng(0)
    edges = [np.cumsum(rng.uniform(0.5, 1.5, n)) for n in (9, 8)]
    x, y = ((e[1:] + e[:-1]) / 2 for e in edges)
    rho = 3 + np.add.outer(0.2 * x, 0.1 * y)
    grid = tp.Grid(edges, rho / (rho * np.outer(np.diff(edges[0]), np.diff(edges[1]))).sum())
    change = grid.transport((np.full((9, 7), 2.0), np.full((8, 8), -1.0)))
    slope = (-2 * 0.2 + 0.1) * grid.density[0, 0] / rho[0, 0]
    assert change[3:-3, 3:-3] == pytest.approx(np.full((2, 1), slope), rel=1e-12)


def test_a_quarter_turn():
    """A quarter turn sends a square grid to itself: the end is known cell by cell."""
    turn = tp.Linear(EYE, EYE, 0 * EYE) + tp.AffineField([[0.0, -1.0], [1.0, 0.0]])
    errors = []
    for n in (40, 80):
        start = tp.Grid.from_gaussian(box(2, n), PLANE)
        end = tp.flow(start, turn, [0.0, np.pi / 2]).final
        errors.append(np.abs(end.masses - start.masses.T[::-1]).sum())
    assert np.log2(errors[0] / errors[1]) >= 1.8


# --- the boundary --------------------------------------------------------------------------------


def test_a_gaussian_tail_at_the_edges_is_no_loss():
    still = tp.Softmax([[1.0]], [[1.0]], [[-0.3]])
    start = tp.Grid.from_gaussian(np.linspace(-4.0, 4.6, 201), LINE)
    path = tp.flow(start, still, 1.0)
    assert path.stop == "time"
    check_laws(path)


def test_blow_up_ends_at_the_edges():
    """Softmax with V = I blows up at 0.5; before, the mass reaches the edges, and that is told."""
    gaussian, attention = tp.Gaussian([0.0], factor=[[1.0]]), tp.Softmax([[1.0]], [[1.0]], [[1.0]])
    start = tp.Grid.from_gaussian(np.linspace(-8.0, 8.0, 321), gaussian)
    with pytest.raises(RuntimeError, match="the density reaches the edges at time 0") as told:
        tp.flow(start, attention, 1.0)
    message = str(told.value)
    assert "Widen `edges`" in message
    assert "outermost cells hold a mass of" in message
    time = float(message.split("at time ")[1].split(":")[0])
    assert 0.3 < time < 0.5


def test_what_the_edges_cut_off_is_missing_to_attention():
    """With V = I softmax feels tails of tiny mass: wider boxes, not finer cells, are closer."""
    gaussian, attention = tp.Gaussian([0.0], factor=[[1.0]]), tp.Softmax([[1.0]], [[1.0]], [[1.0]])
    exact = tp.flow(gaussian, attention, 0.2).final.covariance.item()

    def gap(R, h):
        edges = np.linspace(-R, R, round(2 * R / h) + 1)
        start = tp.Grid.from_gaussian(edges, gaussian)
        return exact - tp.flow(start, attention, [0.0, 0.2]).final.covariance.item()

    near, wider, wide = (gap(R, 0.05) for R in (7, 8.5, 10.5))
    assert near > 1.5 * wider > 2 * wide > 0
    assert gap(7, 0.035) > 0.9 * near


def test_mass_that_moves_inward_from_the_edges_is_no_loss():
    start = tp.Grid(np.linspace(-1.0, 1.0, 41), np.full(40, 0.5))
    path = tp.flow(start, tp.Softmax([[1.0]], [[1.0]], [[-1.0]]), 1.0)
    check_laws(path)
    assert path.final.outermost < start.outermost / 50


@pytest.mark.parametrize("edges", [np.linspace(-1.0, 1.0, 3), np.linspace(-1.0, 1.0, 2)])
def test_one_or_two_cells(edges):
    start = tp.Grid(edges, np.full(len(edges) - 1, 0.5))
    path = tp.flow(start, tp.Softmax([[1.0]], [[1.0]], [[-1.0]]), 1.0)
    assert path.final.masses == pytest.approx(start.masses, abs=1e-12)


# --- the field of a grid -------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0.1, 1.0, 12.0])
@pytest.mark.parametrize("name", UNMASKED)
def test_the_field_in_the_plane_is_that_of_the_tokens(name, size):
    if size > 1 and name in ("sinkhorn", "unnormalized"):
        size = 3.0
    rng = np.random.default_rng(3)
    Q, K, V = head_parameters(rng, 2, 3, size=np.sqrt(size))
    grid = tp.Grid.from_gaussian([np.linspace(-5.0, 5.5, 22), stretched(15)], PLANE)
    attention, x = ROWS[name].make(Q, K, V), 4 * rng.normal(size=(40, 2))
    wanted = attention(grid.particles)(x)
    assert attention(grid)(x) == pytest.approx(wanted, rel=1e-9, abs=1e-11 * np.abs(wanted).max())
    assert attention(grid)(x[0]) == pytest.approx(attention(grid)(x)[0], rel=1e-12)


def test_a_field_far_from_zero_keeps_its_digits():
    grid = tp.Grid.from_gaussian(
        [np.linspace(-6.0, 6.0, 31) + 1e4] * 2, tp.Gaussian([1e4, 1e4], factor=EYE)
    )
    x = np.array([[1e4, 1e4 + 1.0]])
    wanted = tp.Gaussian([1e4, 1e4], factor=EYE)
    for attention in (tp.L2(EYE, EYE, EYE),):
        assert attention(grid)(x) == pytest.approx(attention(grid.particles)(x), abs=1e-7)
        assert attention(grid)(x) == pytest.approx(attention(wanted)(x), abs=0.02)


def test_memory_stays_far_below_all_pairs():
    grid = tp.Grid.from_gaussian(box(2, 64), PLANE)
    field = tp.Softmax(Q2, EYE, EYE)(grid)
    tracemalloc.start()
    grid.face_velocities(field)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16e6  # all pairs of cells and faces would take 270 MB


# --- the measure ---------------------------------------------------------------------------------


def test_mean_and_covariance_by_quadrature():
    rng = np.random.default_rng(1)
    edges = [np.array([0.0, 1.0, 3.0]), np.array([-1.0, 0.5, 1.0, 1.5])]
    masses = rng.dirichlet(np.ones(6)).reshape(2, 3)
    grid = tp.Grid(edges, masses / np.outer(*(np.diff(e) for e in edges)))
    z, w = np.polynomial.legendre.leggauss(3)
    nodes = [((e[1:] + e[:-1])[:, None] + np.diff(e)[:, None] * z).ravel() / 2 for e in edges]
    weights = np.kron(masses, np.outer(w, w) / 4)
    points = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    exact = tp.Particles(points, weights.ravel())
    assert grid.mean == pytest.approx(exact.mean, rel=1e-12)
    assert grid.covariance == pytest.approx(exact.covariance, rel=1e-12)
    assert grid.dimension == 2
    draws = grid.sample(40_000, seed=0)
    assert draws.mean == pytest.approx(exact.mean, abs=0.03)
    assert draws.covariance == pytest.approx(exact.covariance, abs=0.03)
    assert np.histogramdd(draws.points, bins=edges)[0] / 40_000 == pytest.approx(masses, abs=0.01)


def test_coordinates_and_their_derivative():
    grid = tp.Grid.from_gaussian(box(2, 12), PLANE)
    assert np.array_equal(grid.unpack(grid.pack()).density, grid.density)
    field = PLANE_CASES["softmax"](grid)
    change = grid.advect(field)
    assert change.sum() == pytest.approx(0.0, abs=1e-12)
    squares = (grid.particles.points**2).sum(axis=1)
    growth = squares @ change / (squares @ grid.pack())
    assert grid.growth(change) == pytest.approx(growth, rel=1e-12)
    pull = tp.AffineField(-0.5 * EYE)  # every token moves at half its size
    assert grid.speed_over_size(pull) == pytest.approx(0.5, rel=1e-12)


def test_slopes_in_the_cells_by_hand():
    """Under velocity one the flux through the upper face of a cell is the density there."""
    rng, n = np.random.default_rng(6), 300
    edges = np.cumsum(np.exp(rng.normal(size=n + 1)))
    h, x = np.diff(edges), (edges[1:] + edges[:-1]) / 2
    rho = rng.random(n) * (rng.random(n) < 0.9) + 2 + np.cos(x / 10)
    rho = rho / (rho * h).sum()
    found = -np.cumsum(tp.Grid(edges, rho).transport((np.ones(n + 1),)) * h)
    parabola = [np.polyfit(x[i : i + 3] - x[i + 1], rho[i : i + 3], 2) for i in range(n - 2)]
    bends = np.array([0.0, *np.sign([p[0] for p in parabola]), 0.0])
    free = {True: 0, False: 0}
    for i in range(1, n - 1):
        before, after = rho[i] - rho[i - 1], rho[i + 1] - rho[i]
        smooth = 1 < i < n - 2 and bends[i - 1] == bends[i] == bends[i + 1]
        most = rho[i] if smooth else min(abs(before), abs(after)) * (before * after > 0)
        half = parabola[i - 1][1] * h[i] / 2
        assert found[i] == pytest.approx(rho[i] + np.clip(half, -most, most), abs=1e-12)
        free[smooth] += abs(half) < most
    assert min(free.values()) > 5  # slopes that no limit meets
    assert found[0] == pytest.approx(rho[0], abs=1e-12)
    assert found[-1] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("gaussian", [LINE, PLANE], ids=["line", "plane"])
def test_averages_of_a_gaussian(gaussian):
    d = gaussian.dimension
    grid = tp.Grid.from_gaussian(box(d, 30, 5.5), gaussian)
    assert grid.masses.sum() == pytest.approx(1.0, abs=1e-12)
    marginal = grid.masses if d == 1 else grid.masses.sum(axis=1)
    sigma = np.sqrt(gaussian.covariance[0, 0])
    exact = np.diff(ndtr((grid.edges[0] - 0.3) / sigma))
    assert marginal == pytest.approx(exact, abs=1e-9)


def test_a_thin_gaussian_has_a_density():
    """Widths 1 and 1e-9: the cells of the second axis are as narrow; its product of marginals."""
    X = np.diag([1.0, 1e-9])
    edges = [np.linspace(-6.0, 6.0, 61), np.linspace(-6e-9, 6e-9, 61)]
    thin = tp.Grid.from_gaussian(edges, tp.Gaussian([0.0, 0.0], factor=X))
    exact = np.diff(ndtr(edges[0]))
    assert thin.masses == pytest.approx(np.outer(exact, exact), abs=1e-9)
    turned = tp.Grid.from_gaussian(
        edges, tp.Gaussian([0.0, 0.0], factor=X @ [[0.6, -0.8], [0.8, 0.6]])
    )
    assert turned.masses == pytest.approx(thin.masses, abs=1e-12)
    for coarse in (
        tp.Gaussian([0.1, 0.0], factor=np.diag([1.0, 1e-12])),
        tp.Gaussian([0.1, 0.0], factor=EYE, log_scale=-5000.0),
        tp.Gaussian([0.1, 0.0], factor=EYE, log_scale=5000.0),
    ):
        with pytest.raises(ValueError, match="Widen or refine the edges"):
            tp.Grid.from_gaussian(edges, coarse)


def test_rates_at_the_faces_by_hand():
    grid = tp.Grid([0.0, 1.0, 3.0, 3.5], [0.5, 0.0, 1.0])
    outward, inward = (np.array([-4.0, 1.0, 9.0, 3.0]),), (np.array([4.0, 1.0, 9.0, -3.0]),)
    assert grid.outflow_rate(outward) == 1.0  # the empty cell, of rate 9/2, has nothing to lose
    assert grid.outflow_rate(tuple(u / 8 for u in outward)) == 1 / 8
    assert grid.held_back(outward) == 4 * 0.5 + 3 * 1.0
    assert grid.held_back(inward) == 0.0


def test_edges_may_be_tuples():
    line = tp.Grid((0.0, 1.0, 3.0), [0.5, 0.25])
    assert np.array_equal(line.edges, [[0.0, 1.0, 3.0]])
    plane = tp.Grid(((0.0, 1.0), (0.0, 1.0, 3.0)), [[0.5, 0.25]])
    assert [e.tolist() for e in plane.edges] == [[0.0, 1.0], [0.0, 1.0, 3.0]]
    assert np.array_equal(plane.masses, [[0.5, 0.5]])
    with pytest.raises(ValueError, match="edges: must have one or two axes; got 0"):
        tp.Grid((), [1.0])


def test_a_grid_is_frozen():
    grid = tp.Grid([0.0, 1.0, 3.0], [0.5, 0.25])
    with pytest.raises(ValueError, match="read-only"):
        grid.density[0] = 1.0
    with pytest.raises(AttributeError):
        grid.density = np.ones(2)


# --- distances on the line -----------------------------------------------------------------------


@pytest.mark.parametrize("p", [1, 2, 3.5])
def test_distance_of_a_shifted_density_is_the_shift(p):
    rng = np.random.default_rng(0)
    edges = np.cumsum(rng.uniform(0.1, 1.0, 12))
    rho = rng.random(11) / (rng.random(11) @ np.diff(edges))
    rho /= rho @ np.diff(edges)
    a, b = tp.Grid(edges, rho), tp.Grid(edges + 0.7, rho)
    assert tp.wasserstein(a, b, p) == pytest.approx(0.7, rel=1e-12)
    assert tp.wasserstein(a, a, p) == 0.0


def test_distances_in_closed_form():
    unit = tp.Grid([0.0, 1.0], [1.0])
    point = tp.Particles([[0.25]])
    for p in (1, 2, 3):
        exact = ((0.25 ** (p + 1) + 0.75 ** (p + 1)) / (p + 1)) ** (1 / p)
        assert tp.wasserstein(unit, point, p) == pytest.approx(exact, rel=1e-12)
        assert tp.wasserstein(point, unit, p) == pytest.approx(exact, rel=1e-12)
    wide = tp.Grid([0.0, 3.0], [1 / 3])
    assert tp.wasserstein(unit, wide) == pytest.approx(2 / np.sqrt(3), rel=1e-12)
    halves = tp.Particles([[0.0], [1.0]])
    assert tp.wasserstein(unit, halves) == pytest.approx(np.sqrt(1 / 12), rel=1e-12)


def test_distance_of_two_gaussians_on_grids():
    other = tp.Gaussian([-0.5], factor=[[0.6]])
    edges = np.linspace(-6.0, 6.0, 1201)
    grids = [tp.Grid.from_gaussian(edges, g) for g in (LINE, other)]
    assert tp.wasserstein(*grids) == pytest.approx(tp.wasserstein(LINE, other), abs=1e-4)


def test_distances_that_are_not_there():
    grid = tp.Grid.from_gaussian(box(2, 8), PLANE)
    with pytest.raises(TypeError, match=r"take its tokens, grid\.particles"):
        tp.wasserstein(grid, grid)
    with pytest.raises(TypeError, match=r"Grid\.from_gaussian"):
        tp.wasserstein(tp.Grid.from_gaussian(box(1, 80), LINE), LINE)


# --- trajectories --------------------------------------------------------------------------------


def test_a_trajectory_of_densities():
    start, attention = tp.Grid.from_gaussian(box(1, 80), LINE), LINE_CASES["l2"]
    path = tp.flow(start, attention, np.array([0.0, 0.1, 0.35]))
    assert path.densities.shape == (3, 80)
    assert np.array_equal(path.times, [0.0, 0.1, 0.35])
    assert np.array_equal(path[0].density, start.density)
    assert np.array_equal(path.final.density, path.densities[-1])
    assert (path.stop, path.end, path.blowup_time) == ("time", 0.35, np.inf)
    between = path(0.2)
    again = tp.flow(start, attention, [0.0, 0.1, 0.2]).final
    assert np.array_equal(between.density, again.density)
    assert len(tp.flow(start, attention, 0.1)) == 129
    assert tp.flow(tp.Grid.from_gaussian(box(2, 12), PLANE), PLANE_CASES["l2"], [0.0, 0.1]
                   ).densities.shape == (2, 12, 12)  # fmt: skip
    for name in ("points", "means", "covariances"):
        with pytest.raises(AttributeError, match="a flow of a Grid has `densities`"):
            getattr(path, name)
    with pytest.raises(AttributeError, match="densities: a flow of Gaussians has `means` and"):
        tp.flow(LINE, attention, 0.1).densities  # noqa: B018


def test_a_stationary_density():
    # A pull to x = 1, the centre of a cell, in which all mass comes to rest.
    pull = tp.Linear([[0.0]], [[0.0]], [[0.0]]) + tp.AffineField([[-1.0]], [1.0])
    start = tp.Grid.from_gaussian(np.arange(-4.05, 5.0, 0.1), LINE)
    path = tp.flow(start, pull, np.linspace(0.0, 60.0, 7), stationary=1e-3)
    assert path.stop == "stationary"
    assert 5 < path.end < 60
    assert path.final.mean == pytest.approx([1.0], abs=1e-4)
    assert path.final.masses.max() > 0.999
    over = path.times > path.end
    assert over.any()
    assert np.isnan(path.densities[over]).all()
    assert np.isfinite(path.densities[~over]).all()


def test_parameters_that_rest_at_both_ends_of_a_step():
    """The velocity is zero at the start and at the end, not between."""
    wave = lambda t: on_line(tp.Softmax, 1.0, -0.8 * np.sin(np.pi * t / 0.5) ** 2)  # noqa: E731
    assert error(LINE, wave, box(1, 400), 0.5) <= 2e-4
    end = tp.flow(tp.Grid.from_gaussian(box(1, 400), LINE), wave, [0.0, 0.5]).final
    assert end.covariance.item() < 0.8 * LINE.covariance.item()


def test_progress_runs_from_zero_to_one():
    from transpde.stepping import Options
    from transpde.stepping.volumes import FiniteVolumes

    shown = []
    start = tp.Grid.from_gaussian(box(1, 40), LINE)
    options = Options("SSPRK2", 1e-10, 1e-12, None)
    schedule, times = tp.Schedule(LINE_CASES["l2"]), np.array([0.0, 0.5])
    FiniteVolumes(start, schedule, times, 0.5, options, shown.append).to_the_end()
    assert shown == sorted(shown)
    assert shown[-1] == 1.0


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edges", "density", "message"),
    [
        ([0.0, 1.0, 1.0], [0.5, 0.5], "edges: must be strictly increasing"),
        ([0.0], [1.0], "edges: must be strictly increasing with at least two entries"),
        ([0.0, np.nan], [1.0], "edges: every entry must be finite"),
        ([], [1.0], "edges: must have one or two axes; got 0"),
        ([[0.0, 1.0]] * 3, np.ones((1, 1, 1)), "edges: must have one or two axes; got 3"),
        ([[0.0, 1.0], [1.0, 0.0]], [[1.0]], r"edges\[1\]: must be strictly increasing"),
        ([0.0, 1.0], [[1.0]], "density: must have shape"),
        ([0.0, 1.0, 2.0], [1.0], "density: its axis 0 must be that of the cells of edges, 2"),
        ([0.0, 1.0, 2.0], [1.5, -0.5], "density: must be non-negative; got -0.5"),
        ([0.0, 1.0, 2.0], [0.5, 0.4], "density: its mass, .* must be one"),
        (3.0, [1.0], "edges"),
    ],
)
def test_bad_grids(edges, density, message):
    with pytest.raises(ValueError, match=message):
        tp.Grid(edges, density)


def test_edges_of_one_axis_come_plain_or_in_a_sequence():
    for edges in ([0.0, 2.0], np.array([0.0, 2.0]), [np.array([0.0, 2.0])], ([0.0, 2.0],)):
        assert tp.Grid(edges, [0.5]).mean == pytest.approx([1.0])
    both = tp.Grid(np.array([[0.0, 2.0], [0.0, 1.0]]), [[0.5]])
    assert both.dimension == 2


def test_bad_densities():
    with pytest.raises(ValueError, match="its mass inside the edges must be one"):
        tp.Grid.from_gaussian(np.linspace(-2.0, 2.0, 41), LINE)
    with pytest.raises(ValueError, match=r"must be one .* Widen or refine"):
        tp.Grid.from_density(np.linspace(0.0, 1.0, 5), lambda x: 2 + 0 * x[:, 0])
    with pytest.raises(ValueError, match="function: its number of values"):
        tp.Grid.from_density(np.linspace(0.0, 1.0, 5), lambda x: np.ones(3))
    with pytest.raises(ValueError, match="density: must be non-negative"):
        tp.Grid.from_density(np.linspace(0.0, 1.0, 5), lambda x: 10 * x[:, 0] - 4)
    with pytest.raises(ValueError, match="gaussian: must have a density"):
        tp.Grid.from_gaussian(box(2, 8), tp.Gaussian([0.0, 0.0], factor=[[1.0], [1.0]]))
    with pytest.raises(ValueError, match="gaussian: a grid needs a single one"):
        tp.Grid.from_gaussian(box(1, 8), tp.Gaussian(np.zeros((3, 1)), factor=[[1.0]]))
    with pytest.raises(ValueError, match="gaussian: its dimension must be that of edges, 1"):
        tp.Grid.from_gaussian(box(1, 8), PLANE)
    with pytest.raises(TypeError, match="gaussian: must be a Gaussian"):
        tp.Grid.from_gaussian(box(1, 8), tp.Particles([[0.0]]))


def test_what_a_grid_cannot_do():
    grid, head = tp.Grid.from_gaussian(box(1, 40), LINE), LINE_CASES["l2"]
    with pytest.raises(TypeError, match="a residual layer does not send a Grid to a Grid"):
        tp.layers(grid, head, 3, 0.1)
    with pytest.raises(TypeError, match="matrix: needs Particles; got Grid"):
        head.matrix(grid)
    for masked in (
        tp.Masked(head),
        tp.MultiHead([head, tp.Masked(head)]),
        tp.Masked(head) + tp.AffineField([[1.0]]),
    ):
        with pytest.raises(TypeError, match="a masked attention acts on tokens with positions"):
            tp.flow(grid, masked, 1.0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'space'"):
        tp.Grid(grid.edges, grid.density, space=tp.Sphere())
    assert grid.space == tp.Euclidean()
    with pytest.raises(ValueError, match="its dimension must be that of the attention, 2"):
        tp.flow(grid, tp.L2(EYE, EYE, EYE), 1.0)


def test_options_of_a_flow_of_a_grid():
    grid, head = tp.Grid.from_gaussian(box(1, 40), LINE), LINE_CASES["l2"]
    with pytest.raises(ValueError, match="method: must be one of SSPRK2 for Grid; got 'DOP853'"):
        tp.flow(grid, head, 1.0, method="DOP853")
    with pytest.raises(ValueError, match=r"method: must be one of auto, DOP853, .*; got 'SSPRK2'"):
        tp.flow(LINE, head, 1.0, method="SSPRK2")
    with pytest.raises(ValueError, match="time: must be finite for a Grid"):
        tp.flow(grid, head, np.inf)
    named = tp.flow(grid, head, [0.0, 0.2], method="SSPRK2", rtol=0.1)
    assert np.array_equal(named.densities, tp.flow(grid, head, [0.0, 0.2]).densities)


def test_a_flow_too_fast_for_the_grid():
    grid = tp.Grid.from_gaussian(box(1, 40), LINE)
    with pytest.raises(RuntimeError, match="more than 100000 steps are needed from time 0"):
        tp.flow(grid, tp.Unnormalized([[8.0]], [[1.0]], [[-1.0]]), 1.0)
    with pytest.raises(RuntimeError, match="not a finite number everywhere between the edges"):
        tp.flow(grid, tp.Unnormalized([[80.0]], [[1.0]], [[-1.0]]), 1.0)
