"""The verdict on two float matrices: a transform that holds, a theorem against any, or neither.

Candidates for P come from heuristics and are examined (`_examine`), so that a wrong one costs time and nothing else.
"No" is said by theorems alone. With E = A - P B P^-1, ``||E||_F <= e = tol ||A||_F`` and ``kappa = kappa_2(P)``:

- ``|tr A - tr B| = |tr E| <= sqrt(n) e``, and ``|tr A^2 - tr B^2| = |2 tr(A E) - tr E^2| <= 2 ||A||_F e + e^2``.
- ``A - l I = P (B - l I) P^-1 + E`` gives ``sigma_k(A - l I) <= kappa sigma_k(B - l I) + e`` for each l and k, and, the
  other way, ``sigma_k(B - l I) <= kappa (sigma_k(A - l I) + e)``.

Bounds of rounding are added to the right-hand sides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .entries import FloatMatrix, scaled
from .numeric_jordan import groups_of, numeric_jordan_form

EPS = float(np.finfo(np.float64).eps)
_LARGEST_KRONECKER = 24  # the SVD of an n^2 x n^2 matrix: 0.3 s at 24
_MOST_SHIFTS = 24
_CLUSTER = 1e-4  # of ||A||_F: eigenvalues that may belong to one defective one


@dataclass(frozen=True)
class NumericVerdict:
    """What `decide` found; of an undecided pair, residual and condition of the best candidate."""

    similar: bool | None
    reason: str
    transform: FloatMatrix | None = None
    residual: float | None = None
    condition: float | None = None
    certificate: Literal["invariant", "conditioned"] | None = None


@dataclass(frozen=True)
class _Pair:
    """A and B, of one size, and what similar means."""

    a: FloatMatrix
    b: FloatMatrix
    tol: float
    cond_max: float

    @property
    def n(self) -> int:
        return len(self.a)

    @property
    def is_real(self) -> bool:
        return self.a.dtype.kind == self.b.dtype.kind == "f"

    @property
    def norm(self) -> float:
        return float(np.linalg.norm(self.a))


def decide(a: FloatMatrix, b: FloatMatrix, tol: float, cond_max: float, rng: np.random.Generator) -> NumericVerdict:
    """Whether some P with kappa_2(P) <= cond_max has ||A - P B P^-1||_F <= tol ||A||_F."""
    n = len(a)
    identity: FloatMatrix = np.eye(n)
    if np.array_equal(a, b):
        return NumericVerdict(True, "the matrices are equal", identity, 0.0, 1.0)
    # A power of two changes no bit, and no answer; it keeps norms away from overflow.
    exponent = -int(np.frexp(max(np.abs(a).max(), np.abs(b).max()))[1])
    pair = _Pair(scaled(a, exponent), scaled(b, exponent), tol, cond_max)
    best = NumericVerdict(None, "")
    found = _invariant_certificate(pair)
    if found:
        return found
    with np.errstate(all="ignore"):
        for candidate, reason in _candidates(pair, rng):
            examined = _examine(pair, candidate)
            if examined is None:
                continue
            if examined.similar:
                return replace(examined, reason=reason)
            if best.residual is None or (examined.residual or 0.0) < best.residual:
                best = examined
        found = _conditioned_certificate(pair)
        if found:
            return found
        more = _kronecker_candidates(pair, rng) if n <= _LARGEST_KRONECKER else _jordan_candidates(pair, rng)
        for candidate, reason in more:
            examined = _examine(pair, candidate)
            if examined is not None and examined.similar:
                return replace(examined, reason=reason)
            if examined is not None and (best.residual is None or (examined.residual or 0.0) < best.residual):
                best = examined
    sizes = "" if n <= _LARGEST_KRONECKER else f", and n > {_LARGEST_KRONECKER} is too large for the null space"
    nearest = ""
    if best.residual is not None and best.condition is not None:
        nearest = f"; the nearest has residual {best.residual:.2g} and kappa {best.condition:.2g}"
    return replace(
        best,
        similar=None,
        transform=None,
        reason=f"no transform with residual <= {tol:.3g} and kappa <= {cond_max:.3g} was found, "
        f"and no proof against one{nearest}{sizes}",
    )


# --- Examining a candidate ---


def _examine(pair: _Pair, p: FloatMatrix) -> NumericVerdict | None:
    """Residual and condition of P, each with a bound of its rounding; None for what is singular."""
    largest = float(np.abs(p).max())
    if not (np.isfinite(largest) and largest > 0):
        return None
    p = scaled(p, 1 - int(np.frexp(largest)[1]))  # entries below 2; the identity stays what it is
    n = pair.n
    singular = np.linalg.svd(p, compute_uv=False)
    if singular[-1] <= EPS * singular[0] * 1e-3:
        return None
    condition = float(singular[0] / singular[-1])
    try:
        inverse = np.linalg.inv(p)
    except np.linalg.LinAlgError:
        return None
    product = pair.a @ p
    r = product - p @ pair.b
    bound = np.abs(pair.a) @ np.abs(p) + np.abs(p) @ np.abs(pair.b)
    residual, rounding = _residual(pair, p, r, (n + 4) * EPS * bound, inverse)
    if residual <= pair.tol < residual + rounding:
        wide = np.clongdouble if r.dtype.kind == "c" else np.longdouble
        unit = float(np.finfo(wide).eps)
        a, b, q = (x.astype(wide) for x in (pair.a, pair.b, p))
        r = (a @ q - q @ b).astype(r.dtype)
        residual, rounding = _residual(pair, p, r, (n + 4) * unit * bound + EPS * np.abs(r), inverse)
    # A computed singular value is off by a few eps of the largest; an orthogonal P has a condition of 1 + a few eps.
    holds = residual + rounding <= pair.tol and condition <= pair.cond_max * (1 + 8 * n * EPS) / (
        1 + n * EPS * condition
    )
    return NumericVerdict(holds or None, "", p, residual, condition)


def _residual(
    pair: _Pair, p: FloatMatrix, r: FloatMatrix, error: NDArray[Any], inverse: FloatMatrix
) -> tuple[float, float]:
    """||(A P - P B) P^-1||_F / ||A||_F, and a bound of its error from that of A P - P B and of the inverse."""
    norm = pair.norm
    if norm == 0:
        return math.inf, 0.0
    size = np.abs(r) @ np.abs(inverse)
    spread = error @ np.abs(inverse) + (pair.n + 4) * EPS * (size + size @ (np.abs(p) @ np.abs(inverse)))
    return float(np.linalg.norm(r @ inverse)) / norm, float(np.linalg.norm(spread)) / norm


# --- Proofs against ---


def _invariant_certificate(pair: _Pair) -> NumericVerdict | None:
    n, norm = pair.n, pair.norm
    allowed = pair.tol * norm
    traces = [complex(math.fsum(d.real), math.fsum(d.imag)) for d in (np.diagonal(pair.a), np.diagonal(pair.b))]
    rounding = 4 * EPS * (abs(traces[0]) + abs(traces[1]) + norm)
    if abs(traces[0] - traces[1]) > math.sqrt(n) * allowed * (1 + 8 * EPS) + rounding:
        return NumericVerdict(
            False,
            f"traces differ by {abs(traces[0] - traces[1]) / norm if norm else math.inf:.3g} ||A||_F, "
            "more than any admitted residual allows",
            certificate="invariant",
        )
    squares = [complex((x * x.T).sum()) for x in (pair.a, pair.b)]
    rounding = 4 * n * n * EPS * float(norm**2 + np.linalg.norm(pair.b) ** 2)
    if abs(squares[0] - squares[1]) > (2 * norm * allowed + allowed**2) * (1 + 8 * EPS) + rounding:
        return NumericVerdict(
            False,
            "traces of the squares differ by more than any admitted residual allows",
            certificate="invariant",
        )
    return None


def _conditioned_certificate(pair: _Pair) -> NumericVerdict | None:
    n = pair.n
    unit = 4 * max(n, 4) * EPS
    allowed = pair.tol * pair.norm * (1 + 8 * EPS)
    identity = np.eye(n)
    for shifts in np.array_split(_shifts(pair), 6):
        if not len(shifts):
            continue
        moved_a, moved_b = (x[None] - shifts[:, None, None] * identity for x in (pair.a, pair.b))
        sigma_a, sigma_b = (np.linalg.svd(x, compute_uv=False) for x in (moved_a, moved_b))
        error_a, error_b = (unit * (sigma[:, :1] + np.abs(shifts)[:, None]) for sigma in (sigma_a, sigma_b))
        forward = sigma_a - error_a > pair.cond_max * (sigma_b + error_b) + allowed
        backward = sigma_b - error_b > pair.cond_max * (sigma_a + error_a + allowed)
        broken = np.argwhere(forward | backward)
        if len(broken):
            i, k = broken[0]
            # sigma is homogeneous: shown relative to ||A||_F, which the power of two cancels from.
            size = max(pair.norm, float(np.finfo(float).tiny))
            return NumericVerdict(
                False,
                f"at an eigenvalue l, singular value {k + 1} of A - l I is {sigma_a[i, k] / size:.2g} ||A||_F, of "
                f"B - l I {sigma_b[i, k] / size:.2g}: too far apart for kappa(P) <= {pair.cond_max:.3g}",
                certificate="conditioned",
            )
    return None


def _shifts(pair: _Pair) -> NDArray[Any]:
    """Where to compare singular values: eigenvalues of both, those first that are farthest from the other's, and means.

    A certificate needs only one shift, so that a choice of them loses no truth.
    """
    eigenvalues = [np.linalg.eigvals(x) for x in (pair.a, pair.b)]
    distances = np.abs(eigenvalues[0][:, None] - eigenvalues[1][None, :])
    both = np.concatenate([*eigenvalues, [np.mean(x) for x in eigenvalues]])
    far = np.concatenate([distances.min(axis=1), distances.min(axis=0), [0.0, 0.0]])
    # Defective eigenvalues scatter around the mean of their cluster; the largest clusters come first.
    means: list[tuple[int, complex]] = []
    for w in eigenvalues:
        for radius in (1e-7, 1e-4):
            near = np.abs(w[:, None] - w[None, :]) <= radius
            counts = near.sum(axis=1)
            means += {(-int(count), complex(mean)) for count, mean in zip(counts, near @ w / counts, strict=True)}
    means.sort(key=lambda item: (item[0], item[1].real, item[1].imag))
    half = _MOST_SHIFTS // 2
    shifts = np.concatenate([both[np.argsort(-far, kind="stable")][:half], [mean for _, mean in means[:half]]])
    if pair.is_real:
        shifts = shifts[shifts.imag >= 0]  # the conjugates say the same
        if not shifts.imag.any():
            return shifts.real
    return shifts


# --- Candidates for P ---


def _candidates(pair: _Pair, rng: np.random.Generator) -> Iterator[tuple[FloatMatrix, str]]:
    yield np.eye(pair.n), "the identity is a transform"
    if _is_hermitian(pair.a) and _is_hermitian(pair.b):
        u, v = (np.linalg.eigh((x + x.conj().T) / 2)[1] for x in (pair.a, pair.b))
        yield u @ v.conj().T, "symmetric, with equal spectra: an orthogonal transform"
    (w_a, v_a), (w_b, v_b) = np.linalg.eig(pair.a), np.linalg.eig(pair.b)
    order = _match(w_a, w_b, pair.is_real)
    try:
        inverse = np.linalg.inv(v_b[:, order])
    except np.linalg.LinAlgError:
        return
    reason = "a transform from the eigenvectors"
    # Eigenvectors have no length of their own: with both rows and columns of unit length P is often better.
    for weights in (np.ones(pair.n), 1 / np.linalg.norm(inverse, axis=1)):
        p = (v_a * weights) @ inverse
        if not pair.is_real or p.dtype.kind == "f":
            yield p, reason
            continue
        # Real and imaginary part each satisfy A X = X B, and so does any combination.
        yield p.real, reason
        for _ in range(3):
            yield p.real + rng.normal() * p.imag, reason


def _is_hermitian(x: FloatMatrix) -> bool:
    return bool(np.linalg.norm(x - x.conj().T) <= 100 * len(x) * EPS * np.linalg.norm(x))


def _match(w_a: NDArray[Any], w_b: NDArray[Any], is_real: bool) -> NDArray[np.intp]:
    """For each eigenvalue of A one of B, the nearest pairs first; conjugate pairs stay together where they can.

    LAPACK lists a conjugate pair of a real matrix side by side, the positive imaginary part first.
    """
    n = len(w_a)
    order = np.full(n, -1)
    upper_a, upper_b = np.flatnonzero(w_a.imag > 0), np.flatnonzero(w_b.imag > 0)
    if is_real and len(upper_a) == len(upper_b):
        real_a, real_b = np.flatnonzero(w_a.imag == 0), np.flatnonzero(w_b.imag == 0)
        order[real_a] = real_b[_nearest_first(w_a[real_a], w_b[real_b])]
        order[upper_a] = upper_b[_nearest_first(w_a[upper_a], w_b[upper_b])]
        order[upper_a + 1] = order[upper_a] + 1
        return order
    return _nearest_first(w_a, w_b)


def _nearest_first(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.intp]:
    n = len(x)
    order = np.full(n, -1)
    taken = np.zeros(n, bool)
    for flat in np.argsort(np.abs(x[:, None] - y[None, :]), axis=None, kind="stable"):
        i, j = divmod(int(flat), n)
        if order[i] < 0 and not taken[j]:
            order[i], taken[j] = j, True
    return order


def _jordan_candidates(pair: _Pair, rng: np.random.Generator) -> Iterator[tuple[FloatMatrix, str]]:
    """Jordan chains onto Jordan chains, where both matrices have clusters of eigenvalues of equal sizes."""
    sizes = []
    for x in (pair.a, pair.b):
        groups = groups_of(np.linalg.eigvals(x), _CLUSTER * pair.norm)
        sizes.append(sorted(map(len, groups)))
    if sizes[0] != sizes[1] or sizes[0][-1] == 1:
        return  # the eigenvectors have been tried
    try:
        a, b = (numeric_jordan_form(x, pair.tol) for x in (pair.a, pair.b))
    except np.linalg.LinAlgError:
        return
    if sorted(size for _, size in a.blocks) != sorted(size for _, size in b.blocks):
        return
    order = np.full(pair.n, -1)
    for size in {size for _, size in a.blocks}:
        (starts_a, values_a), (starts_b, values_b) = (_blocks_of(found.blocks, size) for found in (a, b))
        for i, j in enumerate(_nearest_first(values_a, values_b)):
            order[starts_a[i] : starts_a[i] + size] = np.arange(starts_b[j], starts_b[j] + size)
    try:
        p = a.transform @ np.linalg.inv(b.transform[:, order])
    except np.linalg.LinAlgError:
        return
    reason = "a transform from the Jordan chains"
    if pair.is_real and p.dtype.kind == "c":
        yield p.real, reason
        yield p.real + rng.normal() * p.imag, reason
    else:
        yield p, reason


def _blocks_of(blocks: tuple[tuple[Any, int], ...], size: int) -> tuple[list[int], NDArray[Any]]:
    """First columns and eigenvalues of the Jordan blocks of a size."""
    starts, values, first = [], [], 0
    for value, width in blocks:
        if width == size:
            starts.append(first)
            values.append(value)
        first += width
    return starts, np.array(values)


def _kronecker_candidates(pair: _Pair, rng: np.random.Generator) -> Iterator[tuple[FloatMatrix, str]]:
    """Combinations of the X with A X = X B, from the SVD of I (x) A - B^T (x) I."""
    n = pair.n
    system = np.kron(np.eye(n), pair.a) - np.kron(pair.b.T, np.eye(n))
    u, s, vh = np.linalg.svd(system)
    reason = "a transform from the null space of X -> A X - X B"
    seen = set()
    for threshold in (1e-14 * n, 1e-12, pair.tol * 1e-2, pair.tol):
        nullity = int((s <= threshold * max(s[0], EPS)).sum())
        if not nullity or nullity in seen:
            continue
        seen.add(nullity)
        rank = n * n - nullity
        basis = vh[rank:].conj()
        for _ in range(2):  # small components of a singular vector are as wrong as large ones: refined, they are not
            x = basis.reshape(nullity, n, n).transpose(0, 2, 1)
            r = (pair.a @ x - x @ pair.b).transpose(0, 2, 1).reshape(nullity, -1)
            basis = basis - ((r @ u[:, :rank].conj()) / s[:rank]) @ vh[:rank].conj()
        spans = basis.reshape(nullity, n, n).transpose(0, 2, 1)
        weights = rng.normal(size=(64, nullity))
        if not pair.is_real:
            weights = weights + 1j * rng.normal(size=weights.shape)
        combined = np.tensordot(weights, spans, 1)
        combined = np.concatenate([combined, _project(spans, np.eye(n))[None]])
        conditions = np.linalg.cond(combined)
        for i in np.argsort(conditions)[:3]:
            yield combined[i], reason
            yield _nearly_orthogonal(spans, combined[i]), reason


def _project(spans: FloatMatrix, x: FloatMatrix) -> FloatMatrix:
    """The nearest combination of orthonormal matrices."""
    return np.tensordot(np.tensordot(spans.conj(), x, 2), spans, 1)


def _nearly_orthogonal(spans: FloatMatrix, x: FloatMatrix) -> FloatMatrix:
    """Alternate between the nearest orthogonal matrix and the nearest solution: the condition falls."""
    for _ in range(10):
        u, _, vh = np.linalg.svd(x)
        x = _project(spans, u @ vh)
    return x
