"""EMO: the earth mover's distance between predicted and true token as a training loss for language models."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validation import (
    check_array,
    check_bool,
    check_choice,
    check_indices,
    check_n_threads,
    check_out,
    check_scalar_float,
    check_scalar_int,
)

__all__ = ["EMOParts", "emo_loss"]

MIXINGS = (
    "none",
    "balanced",
    "balanced-clamped",
    "rescaled-mle",
    "patch-1",
    "patch-1-clamped",
    "patch-2",
    "sum",
)
_TINY = 1e-10  # added to a denominator, as the published implementations do
_MOST = 3.0  # the clamped mixings weigh the transport part by no more
_SUM_TOLERANCE = {4: 1e-4, 8: 1e-9}  # of a row of soft targets, by item size

Floats = NDArray[Any]


@dataclass(frozen=True, eq=False)
class EMOParts:
    """What the losses of `emo_loss` are mixed from; ignored tokens have 0.

    Attributes
    ----------
    cross_entropy : ndarray of float64, shape of the targets
        ``-log q_t`` of each token (soft targets: ``-sum p log q``).
    transport : ndarray of float64, shape of the targets
        The transport cost of each token, from 0 to 2.
    losses : ndarray of float64, shape of the targets
        The mixture of the two.
    n_kept : int
        How many tokens were not ignored.
    """

    cross_entropy: NDArray[np.float64]
    transport: NDArray[np.float64]
    losses: NDArray[np.float64]
    n_kept: int


def emo_loss(
    logits: ArrayLike,
    targets: ArrayLike | None,
    embedding: ArrayLike,
    *,
    mixing: str = "balanced-clamped",
    alpha: float = 1.0,
    beta: float = 1.0,
    ignore_index: int = -100,
    reduction: str = "mean",
    soft_targets: ArrayLike | None = None,
    zero_norm: str = "raise",
    return_parts: bool = False,
    out: Floats | None = None,
    n_threads: int | None = None,
) -> tuple[Any, ...]:
    """The EMO loss of predicted tokens, and its gradient with respect to the logits.

    The transport cost between the prediction ``q = softmax(z)`` and the true token ``t`` is ``L = sum_j q_j d_tj``,
    where ``d_tj = 1 - cos(e_t, e_j)`` is the cost between rows of the embedding: the exact earth mover's distance, as
    all mass goes to one token. It is mixed with the cross entropy ``l = -log q_t``.

    Parameters
    ----------
    logits : array_like, shape (n_tokens, n_vocabulary) or (n_batch, n_tokens, n_vocabulary)
        float32 or float64. ``-inf`` (a masked token of the vocabulary) has probability 0 and gradient 0.
    targets : array_like of integers, shape of the logits without their last axis
        The true tokens. They are not shifted. With `soft_targets` None, or an array that only says what is ignored.
    embedding : array_like, shape (n_vocabulary, n_hidden)
        A row for each token of the vocabulary; a constant, no gradient flows into it. Of another dtype than the logits:
        both are taken as float64.
    mixing : str
        The loss of a token; sg = without gradient, L' = L + q_t, d = 1e-10.

        ==================  ============================================
        'none'              L
        'balanced'          (l + sg(l / (L + d)) L) / 2
        'balanced-clamped'  (l + min(sg(l / (L + d)), 3) L) / 2
        'rescaled-mle'      sg(L / (l + d)) l + L
        'patch-1'           as 'balanced', with L' in place of L
        'patch-1-clamped'   as 'balanced-clamped', with L' in place of L
        'patch-2'           as 'rescaled-mle', with L' in place of L
        'sum'               alpha l + beta L
        ==================  ============================================
    alpha, beta : float
        Weights of ``mixing="sum"``.
    ignore_index : int
        Tokens with this target do not count, and their gradient is 0.
    reduction : {'mean', 'sum', 'none'}
        Mean or sum over the tokens that count, or the losses of all tokens.
    soft_targets : array_like, shape of the logits, optional
        A distribution p over the vocabulary for each token, in place of the one target. The transport cost is then that
        of the product coupling, ``1 - <E'p, E'q>`` with the unit rows E', an upper bound of the earth mover's distance;
        the cross entropy is ``-sum_j p_j log q_j``. The patched mixings, which need one target, are refused.
    zero_norm : {'raise', 'orthogonal'}
        A row of the embedding that is zero is an error, or orthogonal to all rows, itself included.
    return_parts : bool
        Whether to return the parts, too.
    out : ndarray, shape and dtype of the gradient, optional
        Where to write the gradient.
    n_threads : int, optional
        Threads to use; None is all CPUs that this process may use.

    Returns
    -------
    loss : float, or ndarray of the targets' shape with ``reduction="none"``
    grad : ndarray, shape of the logits
        Gradient of the loss (with ``reduction="none"`` of the sum of the losses; row t belongs to token t).
    parts : EMOParts
        With ``return_parts=True``.

    Raises
    ------
    ValueError
        A target out of range, logits that are all ``-inf`` or hold NaN or ``+inf`` in a token that counts, ``-inf`` at
        the target, a zero row of the embedding, soft targets that are negative or do not sum to 1, shapes that do not
        fit.
    TypeError
        Targets that are not integers.

    Warns
    -----
    UserWarning
        No token counts: the loss is 0.

    Notes
    -----
    Costs are computed once for each distinct target (2 n_distinct n_vocabulary n_hidden operations of BLAS), then one
    pass over the logits gives losses and gradient. The costs lie where the gradient will be: beyond the result there is
    a row of the embedding for each distinct target.

    References
    ----------
    Ren et al. 2023, "EMO: Earth Mover Distance Optimization for Auto-Regressive Language Modeling", arXiv 2310.04691.
    Su Jianlin 2023, https://kexue.fm/archives/9797.

    Examples
    --------
    >>> import numpy as np
    >>> from likewise.transport import emo_loss
    >>> embedding = np.array([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
    >>> loss, grad = emo_loss(np.array([[2.0, 1.0, 0.0]]), [0], embedding, mixing="none")
    >>> round(loss, 6)
    0.277953
    >>> grad.round(6)
    array([[-0.184905,  0.029868,  0.155037]])
    """
    problem = _Problem.check(logits, targets, embedding, soft_targets, ignore_index, zero_norm)
    check_choice(mixing, "mixing", MIXINGS)
    check_choice(reduction, "reduction", ("mean", "sum", "none"))
    weights = (check_scalar_float(alpha, "alpha"), check_scalar_float(beta, "beta"))
    if mixing != "sum" and weights != (1.0, 1.0):
        raise ValueError(f"{'alpha' if weights[0] != 1 else 'beta'}: expected mixing='sum', got {mixing!r}")
    if problem.soft is not None and mixing.startswith("patch"):
        raise ValueError(f"mixing: expected one that needs no single target with soft_targets, got {mixing!r}")
    check_bool(return_parts, "return_parts")
    check_n_threads(n_threads)
    shape = problem.shape
    if out is None:
        grad = np.empty_like(problem.logits)
    else:
        inputs = [x for x in (problem.logits, problem.embedding, problem.targets, problem.soft) if x is not None]
        out = check_out(out, "out", shape=(*shape, problem.logits.shape[1]), dtype=problem.logits.dtype, inputs=inputs)
        grad = out.reshape(problem.logits.shape)
    n_kept = int(np.count_nonzero(problem.kept))
    if n_kept == 0:
        warnings.warn("targets: expected a token that counts, got none: the loss is 0", UserWarning, stacklevel=2)
    scale = 1.0 / n_kept if reduction == "mean" and n_kept > 0 else 1.0
    losses, cross_entropy, transport = _rows(problem, mixing, weights, scale, grad)
    loss: Any = losses.reshape(shape) if reduction == "none" else float(losses.sum()) * scale
    grad = grad.reshape(*shape, problem.logits.shape[1]) if out is None else out
    if not return_parts:
        return loss, grad
    parts = EMOParts(cross_entropy.reshape(shape), transport.reshape(shape), losses.reshape(shape), n_kept)
    return loss, grad, parts


@dataclass(frozen=True, eq=False)
class _Problem:
    """Checked arguments: rows of tokens, one dtype."""

    shape: tuple[int, ...]  # of the targets
    logits: Floats  # (n, V)
    targets: NDArray[np.int64]  # (n,); 0 where nothing counts
    kept: NDArray[np.bool_]  # (n,)
    soft: Floats | None  # (n, V)
    embedding: Floats  # (V, H)
    inverse_norms: Floats  # (V,); 0 for a zero row

    @classmethod
    def check(
        cls,
        logits: ArrayLike,
        targets: ArrayLike | None,
        embedding: ArrayLike,
        soft_targets: ArrayLike | None,
        ignore_index: int,
        zero_norm: str,
    ) -> _Problem:
        check_choice(zero_norm, "zero_norm", ("raise", "orthogonal"))
        ignore_index = check_scalar_int(ignore_index, "ignore_index", minimum=-(2**63), maximum=2**63 - 1)
        ndim = 3 if getattr(logits, "ndim", 0) == 3 or np.ndim(logits) == 3 else 2
        z = check_array(logits, "logits", ndim=ndim, min_rows=0, finite=False)
        e = check_array(embedding, "embedding", finite=False)
        if z.shape[-1] != len(e):
            raise ValueError(
                f"logits: expected as many columns as the embedding has rows, {len(e)}, got {z.shape[-1]} "
                "[of a padded vocabulary, pass the padded embedding]"
            )
        p = None
        if soft_targets is not None:
            p = check_array(soft_targets, "soft_targets", ndim=ndim, min_rows=0, finite=False)
            if p.shape != z.shape:
                raise ValueError(f"soft_targets: expected the shape of the logits, {z.shape}, got {p.shape}")
        dtype = np.result_type(z, e, *(() if p is None else (p,)))
        z, e = z.astype(dtype, copy=False), e.astype(dtype, copy=False)
        shape = z.shape[:-1]
        if targets is None:
            if p is None:
                raise TypeError("targets: expected integers, got None [only with soft_targets]")
            t = np.zeros(shape, np.int64)
            kept = np.ones(shape, np.bool_)
        else:
            t = check_indices(targets, "targets", ndim=ndim - 1)
            if t.shape != shape:
                raise ValueError(f"targets: expected shape {shape}, got {t.shape}")
            kept = t != ignore_index
            wrong = kept & ((t < 0) | (t >= len(e)))
            if wrong.any():
                where = int(np.argmax(wrong))
                raise ValueError(
                    f"targets: expected integers from 0 to {len(e) - 1}, or ignore_index={ignore_index}, "
                    f"got {t.flat[where]}{_at(where, shape)}"
                )
            t = np.where(kept, t, 0)
        if p is not None:
            p = p.astype(dtype, copy=False)
            _check_distributions(p.reshape(-1, p.shape[-1]), kept.reshape(-1), shape)
            p = p.reshape(-1, p.shape[-1])
        e, inverse_norms = _normalisation(e, zero_norm)
        return cls(shape, z.reshape(-1, z.shape[-1]), t.reshape(-1), kept.reshape(-1), p, e, inverse_norms)


def _at(position: int, shape: tuple[int, ...]) -> str:
    """Where a token lies."""
    if len(shape) == 1:
        return f" at position {position}"
    batch, token = divmod(position, shape[1])
    return f" at row {batch}, position {token}"


def _check_distributions(p: Floats, kept: NDArray[np.bool_], shape: tuple[int, ...]) -> None:
    sums = p.sum(axis=1, dtype=np.float64)
    smallest = p.min(axis=1, initial=0)  # NaN stays NaN
    wrong = kept & ~((np.abs(sums - 1) <= _SUM_TOLERANCE[p.itemsize]) & (smallest >= 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        column = int(np.argmin(p[row] >= 0))
        if not p[row, column] >= 0:
            raise ValueError(
                f"soft_targets: expected values >= 0, got {p[row, column]}{_at(row, shape)}, column {column}"
            )
        raise ValueError(f"soft_targets: expected rows that sum to 1, got {sums[row]}{_at(row, shape)}")


def _normalisation(e: Floats, zero_norm: str) -> tuple[Floats, Floats]:
    """The embedding and one over the norms of its rows."""
    squares = np.empty(len(e))
    for first in range(0, len(e), 4096):
        block = e[first : first + 4096].astype(np.float64, copy=False)
        with np.errstate(over="ignore", under="ignore"):
            np.einsum("ij,ij->i", block, block, out=squares[first : first + 4096])
    norms = np.sqrt(squares)
    low, high = (1e-15, 1e15) if e.itemsize == 4 else (1e-140, 1e140)
    if not ((norms >= low) & (norms <= high)).all():
        e = check_array(e, "embedding")  # names the value that is not finite
        largest = np.abs(e).max(axis=1).astype(np.float64)
        zero = largest == 0
        if zero_norm == "raise" and zero.any():
            raise ValueError(
                f"embedding: expected no zero row, which has no cosine, got one at row {int(np.argmax(zero))} "
                "[zero_norm='orthogonal' takes it as orthogonal to all]"
            )
        if not ((norms >= low) & (norms <= high) | zero).all():
            # Products with such rows leave the range of the type: this once, a scaled copy.
            exponent = np.frexp(np.where(zero, 1.0, largest))[1]
            e = np.ldexp(e, -exponent[:, None]).astype(e.dtype, copy=False)
            norms = np.sqrt(np.einsum("ij,ij->i", e, e, dtype=np.float64))
        norms = np.where(zero, np.inf, norms)
    return e, (1 / norms).astype(e.dtype)


def _rows(
    problem: _Problem, mixing: str, weights: tuple[float, float], scale: float, grad: Floats
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Losses, cross entropy and transport cost of every token; the gradient goes to `grad`."""
    z, t, kept, inverse_norms = problem.logits, problem.targets, problem.kept, problem.inverse_norms
    row_of = _costs(problem, grad)
    losses, cross_entropy, transport = np.zeros((3, len(z)))
    one = np.zeros_like(inverse_norms)
    for i in range(len(z) - 1, -1, -1):
        if not kept[i]:
            grad[i] = 0
            continue
        top = z[i].max()
        if not np.isfinite(top):
            raise ValueError(
                f"logits: expected finite values, or -infinity in some columns, got {top}{_at(i, problem.shape)}"
            )
        exponentials = np.exp(z[i] - top)
        total = float(exponentials.sum(dtype=np.float64))
        q = exponentials / z.dtype.type(total)
        distance = np.clip(1 - grad[row_of[i]] * inverse_norms, 0, 2)
        cost = float(np.dot(q.astype(np.float64), distance))
        if problem.soft is None:
            p = one
            p[t[i]] = 1
            q_target = float(q[t[i]])
        else:
            p, q_target = problem.soft[i], 0.0
        possible = p > 0
        entropy = np.log(total) + float(top) - float(np.dot(p[possible].astype(np.float64), z[i][possible]))
        if not np.isfinite(entropy):
            raise ValueError(f"logits: expected a finite value at the target, got -infinity{_at(i, problem.shape)}")
        losses[i], of_entropy, of_transport = _mix(mixing, weights, entropy, cost, q_target)
        cross_entropy[i], transport[i] = entropy, cost
        grad[i] = scale * (of_entropy * (q - p) + of_transport * q * (distance - cost))
        one[t[i]] = 0
    return losses, cross_entropy, transport


def _costs(problem: _Problem, grad: Floats) -> NDArray[np.int64]:
    """Fills rows of `grad` with cosines (not yet divided by the column's norm) and says which row a token needs.

    Rows are numbered by first occurrence, so that none lies behind its tokens: going through the tokens backwards, each
    row is needed no more when its place gets a gradient.
    """
    e, inverse_norms = problem.embedding, problem.inverse_norms
    row_of = np.arange(len(problem.logits))
    if problem.soft is not None:
        mean = np.zeros((len(row_of), e.shape[1]), e.dtype)
        width = max(1, (1 << 20) // max(1, len(row_of)))
        for first in range(0, len(e), width):
            part = slice(first, first + width)
            mean += (problem.soft[:, part] * inverse_norms[part]) @ e[part]
        np.matmul(mean, e.T, out=grad)
        return row_of
    labels, first_at, which = np.unique(problem.targets[problem.kept], return_index=True, return_inverse=True)
    order = np.argsort(first_at)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    row_of[problem.kept] = rank[which]
    labels = labels[order]
    n = len(labels)
    np.matmul(e[labels] * inverse_norms[labels, None], e.T, out=grad[:n])
    # A cosine above 1 is a cost of exactly 0: what rounding left of a target's cost to itself must not be mixed in.
    own = inverse_norms[labels]
    grad[np.arange(n), labels] = np.divide(2, own, out=np.zeros_like(own), where=own > 0)
    return row_of


def _mix(
    mixing: str, weights: tuple[float, float], entropy: float, cost: float, q_target: float
) -> tuple[float, float, float]:
    """Loss, weight of the cross entropy's gradient, weight of the transport cost's gradient."""
    if mixing == "none":
        return cost, 0.0, 1.0
    if mixing == "sum":
        return weights[0] * entropy + weights[1] * cost, *weights
    if mixing.startswith("patch"):
        cost += q_target
    if mixing in ("rescaled-mle", "patch-2"):
        ratio = cost / (entropy + _TINY)
        return ratio * entropy + cost, ratio, 1.0
    ratio = entropy / (cost + _TINY)
    if mixing.endswith("clamped"):
        ratio = min(ratio, _MOST)
    return 0.5 * (entropy + ratio * cost), 0.5, 0.5 * ratio
