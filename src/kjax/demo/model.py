"""The detector: an autoencoder 9-6-3-6-9 (144 multiply-adds); a row's score is how badly it is reproduced."""

import jax
import jax.numpy as jnp
import numpy as np

WIDTHS = (9, 6, 3, 6, 9)


def initial(seed=0):
    """Parameters: a list of (weights [in, out], bias [out]), float32."""
    rng = np.random.default_rng(seed)
    return [((rng.standard_normal((i, o)) * (1.0 / i) ** 0.5).astype(np.float32), np.zeros(o, np.float32))
            for i, o in zip(WIDTHS, WIDTHS[1:])]


def reproduce(params, x):
    """x [n, 9] through the bottleneck and back."""
    for w, b in params[:-1]:
        x = jnp.tanh(x @ w + b)
    w, b = params[-1]
    return x @ w + b


def score(params, x):
    """Anomaly score of each row: mean squared error of its reproduction. [n, 9] -> [n]"""
    return jnp.mean(jnp.square(reproduce(params, x) - x), axis=-1)


def loss(params, x):
    """Mean score, with far outliers bounded so that one of them cannot wreck the weights."""
    return jnp.mean(jnp.minimum(score(params, x), 10.0))


def sgd_step(params, x, rate):
    """One on-line step: (new parameters, loss). Donate ``params`` and the state stays where it is."""
    value, gradient = jax.value_and_grad(loss)(params, x)
    return jax.tree_util.tree_map(lambda p, g: p - rate * g, params, gradient), value


def train(params, rows, *, epochs=30, batch=128, rate=0.02, seed=0, progress=None):
    """Momentum SGD in JAX on the CPU; returns trained parameters as NumPy arrays."""

    @jax.jit
    def epoch(params, speed, batches):
        def step(state, x):
            params, speed = state
            gradient = jax.grad(loss)(params, x)
            speed = jax.tree_util.tree_map(lambda s, g: 0.9 * s + g, speed, gradient)
            return (jax.tree_util.tree_map(lambda p, s: p - rate * s, params, speed), speed), None

        return jax.lax.scan(step, (params, speed), batches)[0]

    rng = np.random.default_rng(seed)
    speed = jax.tree_util.tree_map(jnp.zeros_like, params)
    count = len(rows) // batch
    for n in range(epochs):
        order = rng.permutation(len(rows))[: count * batch]
        params, speed = epoch(params, speed, rows[order].reshape(count, batch, -1))
        if progress:
            progress(n + 1, epochs)
    return jax.tree_util.tree_map(np.asarray, params)


def auc(scores, labels):
    """Area under the ROC curve (rank statistic; ties count half)."""
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    values, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.bincount(inverse, ranks) / counts)[inverse]
    positive = labels == 1
    n, m = positive.sum(), (~positive).sum()
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))
