"""Soft tokens, one row at a time."""

from typing import Any

import numpy as np
import numpy.typing as npt

from sorgum.reference.random._draws import PURPOSES, filtered, gamma, gumbel, words

__all__ = [
    "dirichlet_resample",
    "embedding_mix",
    "gumbel_resample",
    "soft_token_log_prob",
    "soft_token_log_prob_grad",
    "soft_token_step",
]

Array = npt.NDArray[Any]


def softmax_rows(x: Array) -> Array:
    y = np.exp(x - np.max(x))
    return np.asarray(y / np.sum(y))


def _kept(row: Array, temperature: float, k: int | None, filters: dict[str, Any]) -> tuple[Array, Array]:
    """Return the categories that filters keep, at most the k most probable ones, and their probabilities."""
    kept = filtered(row, temperature=temperature, **filters)
    if k is not None:
        kept &= filtered(np.where(kept, row, -np.inf), top_k=k)
    indices = np.flatnonzero(kept)
    return indices, softmax_rows(row[indices] / temperature)


def _heaviest(indices: Array, logs: Array, k: int) -> tuple[Array, Array]:
    order = np.argsort(-logs, kind="stable")[:k]
    return indices[order], logs[order]


def soft_token_step(
    row: npt.ArrayLike,
    k: int,
    key: int,
    *,
    gumbel_temperature: float = 0.1,
    clamp: tuple[float, float] = (-1.5, 3.0),
    floor: float = 1e-6,
    temperature: float = 1.0,
    stream: int = 0,
    position: int = 0,
    **filters: Any,
) -> tuple[Array, Array, Array]:
    """Return indices, weights and log_weights of SofT-GRPO's rollout: log(q + floor) + clamp(G), and its softmax.

    Parameters
    ----------
    row : array_like
        Logits, one axis.
    k, gumbel_temperature, clamp, floor, temperature : optional
        As in `sorgum.random.soft_token_step`.
    key, stream, position : int
        64 bits each.
    **filters : optional
        As in `filtered`.

    Returns
    -------
    tuple of arrays
        At most k numbers each, the heaviest first.

    Examples
    --------
    >>> soft_token_step([0.0, -100.0], 1, 1)[0].tolist()
    [0]
    """
    x = np.asarray(row, dtype=np.float64)
    indices, q = _kept(x, temperature, k, filters)
    g = gumbel(words((1, x.size), key, PURPOSES["gumbel"], streams=[stream], position=position))[0, indices]
    indices, logs = _heaviest(indices, np.log(q + floor) + np.clip(g, *clamp), k)
    return indices, softmax_rows(logs / gumbel_temperature), logs


def gumbel_resample(
    row: npt.ArrayLike, k: int, key: int, *, gumbel_temperature: float = 0.5, **more: Any
) -> tuple[Array, Array, Array]:
    """Return `soft_token_step` with neither clamp nor floor.

    Parameters
    ----------
    row, k, key, gumbel_temperature : optional
        As in `soft_token_step`.
    **more : optional
        As in `soft_token_step`.

    Returns
    -------
    tuple of arrays
        As from `soft_token_step`.

    Examples
    --------
    >>> gumbel_resample([0.0, -100.0], 1, 1)[1].tolist()
    [1.0]
    """
    free = (-np.inf, np.inf)
    return soft_token_step(row, k, key, gumbel_temperature=gumbel_temperature, clamp=free, floor=0.0, **more)


def dirichlet_resample(
    row: npt.ArrayLike,
    k: int,
    key: int,
    *,
    concentration: float = 1.0,
    temperature: float = 1.0,
    stream: int = 0,
    position: int = 0,
    **filters: Any,
) -> tuple[Array, Array, Array]:
    """Return the k heaviest of a Dirichlet point whose mean is the filtered distribution.

    Parameters
    ----------
    row : array_like
        Logits, one axis.
    k, concentration, temperature : optional
        As in `sorgum.random.dirichlet_resample`.
    key, stream, position : int
        64 bits each.
    **filters : optional
        As in `filtered`.

    Returns
    -------
    tuple of arrays
        indices, weights and their logarithms, at most k numbers each, the heaviest first.

    Examples
    --------
    >>> dirichlet_resample([0.0, -100.0], 1, 1)[0].tolist()
    [0]
    """
    x = np.asarray(row, dtype=np.float64)
    indices, p = _kept(x, temperature, None, filters)
    shapes = np.ones((1, x.size))
    shapes[0, indices] = np.maximum(concentration * p, 2.0**-1000)
    indices, logs = _heaviest(indices, gamma(shapes, key, streams=[stream], position=position)[0, indices], k)
    weights = softmax_rows(logs)
    return indices, weights, logs - logs[0] + np.log(weights[0])


def _policy(
    row: npt.ArrayLike,
    indices: npt.ArrayLike,
    log_weights: npt.ArrayLike,
    temperature: float,
    clamp: tuple[float, float],
    floor: float,
    mask_threshold: float,
) -> tuple[Array, Array, Array]:
    q = softmax_rows(np.asarray(row, dtype=np.float64)[np.asarray(indices)] / temperature)
    logs = np.log(q + floor)
    return q, logs > mask_threshold, np.asarray(log_weights, dtype=np.float64) - logs


def soft_token_log_prob(
    row: npt.ArrayLike,
    indices: npt.ArrayLike,
    log_weights: npt.ArrayLike,
    *,
    temperature: float = 1.0,
    clamp: tuple[float, float] = (-1.5, 3.0),
    floor: float = 1e-6,
    mask_threshold: float = -3.0,
) -> float:
    """Return the mean of -e - exp(-e) over the categories that count, e the clamped noise.

    Parameters
    ----------
    row : array_like
        Logits, one axis.
    indices, log_weights : array_like
        What was drawn, without -1.
    temperature, clamp, floor, mask_threshold : optional
        As in `sorgum.random.soft_token_log_prob`.

    Returns
    -------
    float
        The mean; 0 where no category counts.

    Examples
    --------
    >>> round(soft_token_log_prob([0.0], [0], [0.0], floor=0.0), 6)
    -1.0
    """
    _, counted, noise = _policy(row, indices, log_weights, temperature, clamp, floor, mask_threshold)
    e = np.clip(noise, *clamp)[counted]
    return float(np.mean(-e - np.exp(-e))) if e.size else 0.0


def soft_token_log_prob_grad(
    row: npt.ArrayLike,
    indices: npt.ArrayLike,
    log_weights: npt.ArrayLike,
    *,
    temperature: float = 1.0,
    clamp: tuple[float, float] = (-1.5, 3.0),
    floor: float = 1e-6,
    mask_threshold: float = -3.0,
) -> Array:
    """Return the gradient of `soft_token_log_prob` with respect to the whole row, by the chain rule, step by step.

    Parameters
    ----------
    row, indices, log_weights, temperature, clamp, floor, mask_threshold : optional
        As in `soft_token_log_prob`.

    Returns
    -------
    array of float64
        The shape of the row.

    Examples
    --------
    >>> soft_token_log_prob_grad([0.0, 0.0], [0], [0.0]).tolist()
    [0.0, 0.0]
    """
    q, counted, noise = _policy(row, indices, log_weights, temperature, clamp, floor, mask_threshold)
    g = np.asarray(log_weights)
    near = (1 + np.abs(g)) * max(float(np.finfo(g.dtype).eps), 2.0**-49)  # what was clamped, and then rounded
    moves = counted & (clamp[0] + near < noise) & (noise < clamp[1] - near)
    of_log = np.where(moves, 1 - np.exp(-np.clip(noise, *clamp)), 0.0) / max(1, int(counted.sum()))
    jacobian = (np.diag(q) - np.outer(q, q)) / temperature  # of q with respect to the chosen logits
    whole = np.zeros(np.shape(row))
    whole[np.asarray(indices)] = jacobian @ (of_log / (q + floor))
    return whole


def embedding_mix(weights: npt.ArrayLike, indices: npt.ArrayLike, embeddings: npt.ArrayLike) -> Array:
    """Return the weighted sums of embeddings.

    Parameters
    ----------
    weights, indices : array_like
        Of one shape; index -1 is none.
    embeddings : array_like
        (vocabulary, dimensions).

    Returns
    -------
    array of float64
        That shape with its last axis replaced.

    Examples
    --------
    >>> embedding_mix([0.5, 0.5], [0, 1], [[2.0], [4.0]]).tolist()
    [3.0]
    """
    at, table = np.asarray(indices), np.asarray(embeddings, dtype=np.float64)
    w = np.where(at >= 0, np.asarray(weights, dtype=np.float64), 0.0)
    return np.asarray(np.sum(w[..., None] * table[at], axis=-2))
