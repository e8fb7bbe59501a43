"""Jordan structure of float matrices: clusters of eigenvalues, their invariant subspaces, ranks of nilpotent parts.

Which eigenvalues belong together cannot be read off them: those of a defective block of size k scatter like eps^(1/k).
So ever coarser clusterings are tried, and of those whose Jordan form reproduces the matrix the best conditioned one is
taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .entries import FloatMatrix, scaled

EPS = float(np.finfo(np.float64).eps)
COND_MAX = 1e8
GOOD_CONDITION = 1e4  # below it no coarser clustering is tried
RADII = (1e-14, 1e-10, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)  # of ||A||_F: what may be one eigenvalue


@dataclass(frozen=True)
class Cluster:
    """Eigenvalues that count as one: their mean, its Weyr characteristic, the least certain gap, and Jordan chains."""

    eigenvalue: Any
    weyr: tuple[int, ...]
    gap: float
    chains: list[FloatMatrix]  # columns (A - l)^(k-1) u, ..., u; longest first


@dataclass(frozen=True)
class NumericJordanForm:
    """J and P with A = P J P^-1 up to the residual; an empty reason says that it is reliable."""

    form: FloatMatrix
    transform: FloatMatrix
    blocks: tuple[tuple[Any, int], ...]
    residual: float
    condition: float | None
    reason: str
    clusters: list[Cluster]


def estimate_structure(a: FloatMatrix, tol: float) -> list[Cluster]:
    """The clusters of `numeric_jordan_form`."""
    return numeric_jordan_form(a, tol).clusters


def numeric_jordan_form(a: FloatMatrix, tol: float) -> NumericJordanForm:
    """The reliable form with the best condition, or the one with the smallest residual."""
    n = len(a)
    if n == 0:
        return NumericJordanForm(a, a, (), 0.0, 1.0, "", [])
    largest = float(np.abs(a).max())
    exponent = int(np.frexp(largest)[1]) // 2 * 2
    if abs(exponent) > 300:  # squares overflow: compute with a power of two of A, which changes no bit
        a = scaled(a, -exponent)
    else:
        exponent = 0
    with np.errstate(all="ignore"):
        w, v = np.linalg.eig(a)
        norm = float(np.linalg.norm(a)) or 1.0
        best: NumericJordanForm | None = None
        seen: list[list[list[int]]] = []
        for radius in RADII:
            groups = groups_of(w, radius * norm)
            if groups in seen:
                continue
            seen.append(groups)
            found = _assemble(a, [_cluster(a, w, v, group, tol, norm) for group in groups], tol, norm)
            if best is None or _preference(found) < _preference(best):
                best = found
            if not best.reason and (best.condition or math.inf) <= GOOD_CONDITION:
                break
        assert best is not None
        return _rescale(best, exponent) if exponent else best


def _preference(found: NumericJordanForm) -> tuple[bool, float]:
    """Reliable forms by condition: a defective block that is split by rounding has a huge one. Others by residual."""
    if found.reason:
        return True, found.residual
    return False, found.condition or math.inf


def groups_of(w: NDArray[Any], radius: float) -> list[list[int]]:
    """Indices of eigenvalues that are linked by steps of at most the radius."""
    near = np.abs(w[:, None] - w[None, :]) <= radius
    left, found = set(range(len(w))), []
    while left:
        first = min(left)
        group, waiting = {first}, [first]
        while waiting:
            new = set(np.flatnonzero(near[waiting.pop()]).tolist()) - group
            group |= new
            waiting += new
        left -= group
        found.append(sorted(group))
    return found


def _cluster(a: FloatMatrix, w: NDArray[Any], v: NDArray[Any], group: list[int], tol: float, norm: float) -> Cluster:
    size = len(group)
    if size == 1:
        eigenvalue, vector = w[group[0]], v[:, group]
        if a.dtype.kind == "f" and eigenvalue.imag == 0:  # LAPACK's arrays are complex where any eigenvalue is
            eigenvalue, vector = eigenvalue.real, vector.real
        return Cluster(eigenvalue.item(), (1,), math.inf, [vector])
    others = np.delete(w, group)
    center = w[group].mean()
    # A real matrix has conjugate clusters: one that is its own conjugate has a real mean.
    is_real = a.dtype.kind == "f" and np.isclose(w[group].imag.sum(), 0, atol=10 * size * EPS * norm)
    if is_real and (not len(others) or _is_symmetric(w[group], norm)):
        center = center.real
    subspace = _invariant_subspace(a, center, size, float(np.abs(w[group] - center).max()), others)
    restricted = subspace.conj().T @ a @ subspace
    eigenvalue = np.trace(restricted) / size
    nilpotent = restricted - eigenvalue * np.eye(size)
    weyr, gap = _weyr(nilpotent, tol, norm)
    chains = [subspace @ chain for chain in _chains(nilpotent, weyr)]
    return Cluster(eigenvalue.item(), weyr, gap, chains)


def _is_symmetric(w: NDArray[Any], norm: float) -> bool:
    return bool(np.allclose(np.sort_complex(w), np.sort_complex(w.conj()), rtol=0, atol=1e-10 * norm))


def _invariant_subspace(a: FloatMatrix, center: complex, size: int, spread: float, others: NDArray[Any]) -> FloatMatrix:
    """An orthonormal basis of the space that belongs to the eigenvalues in a circle, by Cauchy's integral.

    The trapezoidal rule on the circle converges like (spread / distance)^(points / 2).
    """
    n = len(a)
    if not len(others):
        return np.eye(n)
    distance = float(np.abs(others - center).min())
    spread = max(spread, 1e-3 * distance)
    ratio = spread / distance
    n_points = int(min(256, max(16, 80 / -math.log(ratio) if ratio < 1 else 256)))
    radius = math.sqrt(spread * distance)
    circle = radius * np.exp(2j * np.pi * (np.arange(n_points) + 0.5) / n_points)
    projector = np.zeros((n, n), complex)
    for z in circle:
        projector += z * np.linalg.inv((center + z) * np.eye(n) - a)
    projector /= n_points
    if a.dtype.kind == "f" and np.isrealobj(center):
        projector = projector.real
    return np.linalg.svd(projector)[0][:, :size]


def _weyr(nilpotent: FloatMatrix, tol: float, norm: float) -> tuple[tuple[int, ...], float]:
    """Ranks of the powers by singular values above tol ||A||, and the smallest gap at which one was cut."""
    size = len(nilpotent)
    ranks, gap = [size], math.inf
    current: FloatMatrix = np.eye(size)
    threshold = max(tol, 100 * EPS) * norm
    for _ in range(size):
        current = current @ nilpotent
        singular = np.linalg.svd(current, compute_uv=False)
        rank = int((singular > threshold).sum())
        if rank >= ranks[-1]:  # not nilpotent after all
            gap = 0.0
            rank = ranks[-1] - 1
        elif 0 < rank < size:
            gap = min(gap, float(singular[rank - 1] / max(singular[rank], EPS * norm)))
        ranks.append(rank)
        if rank == 0:
            break
    steps = [before - after for before, after in pairwise(ranks)]
    if steps != sorted(steps, reverse=True):
        gap, steps = 0.0, sorted(steps, reverse=True)
    return tuple(steps), gap


def _chains(nilpotent: FloatMatrix, weyr: tuple[int, ...]) -> list[FloatMatrix]:
    """Chains N^(k-1) u, ..., u, the longest first: heads outside of what longer chains and shorter kernels span."""
    size, levels = len(nilpotent), len(weyr)
    kernels = [np.zeros((size, 0), nilpotent.dtype)]
    power = np.eye(size, dtype=nilpotent.dtype)
    for k in range(1, levels + 1):
        power = power @ nilpotent
        kernels.append(np.linalg.svd(power)[2][size - sum(weyr[:k]) :].conj().T)
    chains: list[FloatMatrix] = []
    for k in range(levels, 0, -1):
        missing = weyr[k - 1] - (weyr[k] if k < levels else 0)
        if not missing:
            continue
        span = np.concatenate([kernels[k - 1], *(chain[:, k - 1 : k] for chain in chains)], axis=1)
        basis = np.linalg.qr(span)[0]
        outside = kernels[k] - basis @ (basis.conj().T @ kernels[k])
        for head in np.linalg.svd(outside)[0][:, :missing].T:
            chain = [head]
            for _ in range(k - 1):
                chain.append(nilpotent @ chain[-1])
            columns = np.stack(chain[::-1], axis=1)
            lengths = np.maximum(np.linalg.norm(columns, axis=0), EPS)
            chains.append(columns / np.exp(np.log(lengths).mean()))
    return chains


def _assemble(a: FloatMatrix, clusters: list[Cluster], tol: float, norm: float) -> NumericJordanForm:
    parts = sorted(
        ((cluster.eigenvalue, chain) for cluster in clusters for chain in cluster.chains),
        key=lambda part: (part[0].real, part[0].imag, -part[1].shape[1]),
    )
    n = len(a)
    p = np.concatenate([chain for _, chain in parts], axis=1)
    is_complex = p.dtype.kind == "c" or any(isinstance(value, complex) and value.imag for value, _ in parts)
    form = np.zeros((n, n), complex if is_complex else float)
    first, blocks = 0, []
    for value, chain in parts:
        size = chain.shape[1]
        value = value if is_complex else value.real
        form[range(first, first + size), range(first, first + size)] = value
        form[range(first, first + size - 1), range(first + 1, first + size)] = 1
        first += size
        blocks.append((value, size))
    singular = np.linalg.svd(p, compute_uv=False)
    condition = float(singular[0] / singular[-1]) if singular[-1] else None
    residual = math.inf
    if condition is not None and np.isfinite(condition):
        residual = float(np.linalg.norm(a - p @ form @ np.linalg.pinv(p, rcond=0.0))) / norm
    gap = min(cluster.gap for cluster in clusters)
    reasons = []
    if gap < 10:
        reasons.append(f"a rank was decided by a gap of {gap:.2g} in the singular values")
    if condition is None or not condition <= COND_MAX:
        reasons.append(f"kappa(P) is {condition or math.inf:.2g}")
    if not residual <= tol:
        reasons.append(f"the residual is {residual:.2g}")
    return NumericJordanForm(form, p, tuple(blocks), residual, condition, "; ".join(reasons), clusters)


def _rescale(found: NumericJordanForm, exponent: int) -> NumericJordanForm:
    """From the form of ``2^-exponent A`` to that of A: eigenvalues grow, chains are stretched so that the ones stay."""
    form, p = found.form.copy(), found.transform.copy()
    n = len(form)
    form[range(n), range(n)] = scaled(np.diagonal(form), exponent)
    first = 0
    for _, size in found.blocks:
        # (A - l) x_k = x_(k-1) from (sA - sl) y_k = y_(k-1): x_k = s^k y_k, and any multiple of the chain.
        for k in range(size):
            p[:, first + k] = scaled(p[:, first + k], exponent // 2 * (size - 1 - 2 * k))
        first += size
    if not (np.isfinite(form).all() and np.isfinite(p).all()):
        raise FloatingPointError("A: the Jordan form overflows [scale the matrix]")

    def value(x: Any) -> Any:
        return scaled(np.asarray(x), exponent).item()

    clusters = [Cluster(value(c.eigenvalue), c.weyr, c.gap, []) for c in found.clusters]
    blocks = tuple((value(x), size) for x, size in found.blocks)
    singular = np.linalg.svd(p, compute_uv=False)
    condition = float(singular[0] / singular[-1]) if singular[-1] else math.inf
    reasons = [reason for reason in found.reason.split("; ") if reason and not reason.startswith("kappa")]
    if not condition <= COND_MAX:
        reasons.append(f"kappa(P) is {condition:.2g}")
    known = condition if math.isfinite(condition) else None
    return NumericJordanForm(form, p, blocks, found.residual, known, "; ".join(reasons), clusters)
