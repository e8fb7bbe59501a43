"""EMO: the earth mover's distance between predicted and true token as a training loss for language models."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._blas_threads import blas_threads
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
from .emo_embedding import Embedding, FixedEmbeddingCache

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
    embedding: ArrayLike | FixedEmbeddingCache,
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
        float32 or float64. ``-inf`` (a masked token of the vocabulary) has probability 0 and gradient 0. Read where it
        is if contiguous, or if each batch is, as in ``logits[:, :-1]``.
    targets : array_like of integers, shape of the logits without their last axis
        The true tokens. They are not shifted. With `soft_targets` None, or an array that only says what is ignored.
    embedding : array_like, shape (n_vocabulary, n_hidden), or FixedEmbeddingCache
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
    threads = check_n_threads(n_threads)
    weights = check_mixing(mixing, alpha, beta, soft=soft_targets is not None)
    check_choice(reduction, "reduction", ("mean", "sum", "none"))
    check_choice(zero_norm, "zero_norm", ("raise", "orthogonal"))
    check_bool(return_parts, "return_parts")
    problem = _Problem.check(logits, targets, embedding, soft_targets, ignore_index, zero_norm, threads)
    shape = problem.shape
    if out is None:
        grad = np.empty((len(problem.targets), problem.logits.shape[2]), problem.logits.dtype)
    else:
        inputs = [problem.logits, problem.embedding.rows, problem.embedding.cached]
        inputs += [] if problem.soft is None else [problem.soft]
        out = check_out(out, "out", shape=(*shape, problem.logits.shape[2]), dtype=problem.logits.dtype, inputs=inputs)
        grad = out.reshape(-1, problem.logits.shape[2])
    n_kept = int(np.count_nonzero(problem.kept))
    if n_kept == 0:
        warnings.warn("targets: expected a token that counts, got none: the loss is 0", UserWarning, stacklevel=2)
    scale = 1.0 / n_kept if reduction == "mean" and n_kept > 0 else 1.0
    losses, cross_entropy, transport = _evaluate(problem, mixing, weights, scale, grad, n_threads)
    loss: Any = losses.reshape(shape) if reduction == "none" else float(losses.sum()) * scale
    grad = grad.reshape(*shape, problem.logits.shape[2]) if out is None else out
    if not return_parts:
        return loss, grad
    parts = EMOParts(cross_entropy.reshape(shape), transport.reshape(shape), losses.reshape(shape), n_kept)
    return loss, grad, parts


def check_mixing(mixing: object, alpha: object, beta: object, *, soft: bool) -> tuple[float, float]:
    """The weights of the sum; an error where the choice and they do not go together."""
    name = check_choice(mixing, "mixing", MIXINGS)
    weights = (check_scalar_float(alpha, "alpha"), check_scalar_float(beta, "beta"))
    if name != "sum" and weights != (1.0, 1.0):
        raise ValueError(f"{'alpha' if weights[0] != 1 else 'beta'}: expected mixing='sum', got {name!r}")
    if soft and name.startswith("patch"):
        raise ValueError(f"mixing: expected one that needs no single target with soft_targets, got {name!r}")
    return weights


@dataclass(frozen=True, eq=False)
class _Problem:
    """Checked arguments: rows of tokens, one dtype."""

    shape: tuple[int, ...]  # of the targets
    logits: Floats  # (pieces, tokens of each, V): contiguous pieces
    targets: NDArray[np.int64]  # (n,); 0 where nothing counts
    kept: NDArray[np.bool_]  # (n,)
    soft: Floats | None  # (n, V)
    embedding: Embedding

    @classmethod
    def check(
        cls,
        logits: ArrayLike,
        targets: ArrayLike | None,
        embedding: ArrayLike | FixedEmbeddingCache,
        soft_targets: ArrayLike | None,
        ignore_index: int,
        zero_norm: str,
        n_threads: int,
    ) -> _Problem:
        ignore_index = check_scalar_int(ignore_index, "ignore_index", minimum=-(2**63), maximum=2**63 - 1)
        ndim = 3 if getattr(logits, "ndim", 0) == 3 or np.ndim(logits) == 3 else 2
        z = (
            logits
            if _has_contiguous_batches(logits)
            else check_array(logits, "logits", ndim=ndim, min_rows=0, finite=False)
        )
        p: Floats | None = None
        if soft_targets is not None:
            p = check_array(soft_targets, "soft_targets", ndim=ndim, min_rows=0, finite=False)
            if p.shape != z.shape:
                raise ValueError(f"soft_targets: expected the shape of the logits, {z.shape}, got {p.shape}")
        dtype = z.dtype if p is None else np.result_type(z, p)
        if isinstance(embedding, FixedEmbeddingCache):
            e: Embedding = embedding
            if e.rows.dtype != dtype:
                raise ValueError(f"logits: expected the dtype of the cache, {e.rows.dtype}, got {dtype}")
        else:
            e = Embedding(embedding, zero_norm, n_threads, dtype)
        n = len(e.rows)
        if z.shape[-1] != n:
            raise ValueError(
                f"logits: expected as many columns as the embedding has rows, {n}, got {z.shape[-1]} "
                "[of a padded vocabulary, pass the padded embedding]"
            )
        z = z.astype(e.rows.dtype, copy=False)
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
            wrong = kept & ((t < 0) | (t >= n))
            if wrong.any():
                where = int(np.argmax(wrong))
                raise ValueError(
                    f"targets: expected integers from 0 to {n - 1}, or ignore_index={ignore_index}, "
                    f"got {t.flat[where]}{_at(where, shape)}"
                )
            t = np.where(kept, t, 0)
        if p is not None:
            p = p.astype(z.dtype, copy=False)
            _check_distributions(p.reshape(-1, p.shape[-1]), kept.reshape(-1), shape)
            p = p.reshape(-1, p.shape[-1])
        pieces = z if ndim == 3 and not z.flags.c_contiguous else z.reshape(1, t.size, n)
        return cls(shape, pieces, t.reshape(-1), kept.reshape(-1), p, e)


def _has_contiguous_batches(logits: object) -> TypeGuard[Floats]:
    """Whether the logits can be read where they are though not all lie together."""
    return (
        type(logits) is np.ndarray
        and logits.ndim == 3
        and logits.dtype in (np.float32, np.float64)
        and logits.dtype.isnative
        and logits.flags.aligned
        and len(logits) > 0
        and logits[0].flags.c_contiguous
        and not logits.flags.c_contiguous
    )


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


def _evaluate(
    problem: _Problem, mixing: str, weights: tuple[float, float], scale: float, grad: Floats, n_threads: int | None
) -> NDArray[np.float64]:
    """Losses, cross entropies and transport costs of the tokens; the gradient goes to `grad`."""
    z, embedding = problem.logits, problem.embedding
    # The cosines lie where the gradient will be.
    with blas_threads(n_threads):
        if problem.soft is None:
            rows = embedding.cosines_of(problem.targets, problem.kept, grad)
        else:
            rows = np.where(problem.kept, np.arange(len(grad)), -1)
            embedding.soft_cosines(problem.soft, grad)
    soft, threads = problem.soft, check_n_threads(n_threads)
    results, first_wrong = np.empty((3, len(grad))), -1
    size = z.shape[1]
    for piece in range(len(z) - 1, -1, -1):  # from the last to the first, as within a piece
        part = slice(piece * size, (piece + 1) * size)
        results[:, part], wrong = evaluate(
            z[piece],
            rows[part],
            problem.targets[part],
            None if soft is None else soft[part],
            grad,
            embedding,
            mixing,
            weights,
            scale,
            grad[part],
            threads,
        )
        first_wrong = part.start + wrong if wrong >= 0 else first_wrong
    if first_wrong >= 0:
        raise no_loss(float(z[divmod(first_wrong, size)].max()), first_wrong, problem.shape)
    return results


def no_loss(top: float, position: int, shape: tuple[int, ...]) -> ValueError:
    """The error of a token whose largest logit is `top`, and that has no loss."""
    if np.isfinite(top):
        return ValueError(f"logits: expected a finite value at the target, got -infinity{_at(position, shape)}")
    return ValueError(f"logits: expected finite values, or -infinity in some columns, got {top}{_at(position, shape)}")


def evaluate(
    z: Floats,
    rows: NDArray[np.int64],
    targets: NDArray[np.int64],
    soft: Floats | None,
    cosines: Floats,
    embedding: Embedding,
    mixing: str,
    weights: tuple[float, float],
    scale: float,
    grad: Floats,
    n_threads: int,
) -> tuple[NDArray[np.float64], int]:
    """Losses, cross entropies and transport costs; the first token whose logits have no loss, or -1.

    The gradient may replace the cosines, or the logits.
    """
    return _core.transport.emo(
        z,
        rows,
        targets,
        z[:0] if soft is None else soft,
        cosines,
        embedding.cached,
        embedding.inverse_norms,
        mixing,
        weights[0],
        weights[1],
        scale,
        grad,
        n_threads,
    )
