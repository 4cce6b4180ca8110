"""Models of sequences: an LSTM in flax.linen, a GRU and a small GPT with a key-value cache in equinox."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import lax
from model import f32, is_shape, parts, rng, weights, zeros


class Tagger(nn.Module):
    """A label for each step of a sequence, by an LSTM that flax scans."""

    hidden: int
    labels: int

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.labels)(nn.RNN(nn.OptimizedLSTMCell(self.hidden))(x))


def lstm():
    g = rng("lstm")
    x, labels = f32(g, 4, 12, 9), g.integers(0, 5, (4, 12)).astype("int32")
    model = Tagger(16, 5)
    params = weights(jax.eval_shape(model.init, jax.random.key(0), x), g)
    optimizer = optax.adam(1e-3)
    state = zeros(optimizer, params)

    def loss(params, x, labels):
        return optax.softmax_cross_entropy_with_integer_labels(model.apply(params, x), labels).mean()

    def step(params, state, x, labels):
        value, gradient = jax.value_and_grad(loss)(params, x, labels)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, value

    return {"forward": (model.apply, (params, x)), "gradient": (jax.grad(loss), (params, x, labels)),
            "step": (step, (params, state, x, labels))}


class Forecaster(eqx.Module):
    """The next value of a series from the last state of a GRU."""

    cell: eqx.nn.GRUCell
    out: eqx.nn.Linear

    def __init__(self, features, hidden, key):
        a, b = jax.random.split(key)
        self.cell = eqx.nn.GRUCell(features, hidden, key=a)
        self.out = eqx.nn.Linear(hidden, features, key=b)

    def __call__(self, xs):
        last, _ = lax.scan(lambda h, x: (self.cell(x, h), None), jnp.zeros(self.cell.hidden_size), xs)
        return self.out(last)


def gru():
    g = rng("gru")
    xs, y = f32(g, 8, 15, 3), f32(g, 8, 3)
    shapes, rest = eqx.partition(eqx.filter_eval_shape(Forecaster, 3, 12, jax.random.key(1)), is_shape)
    params = weights(shapes, g)
    optimizer = optax.rmsprop(1e-2)
    state = zeros(optimizer, params)

    def forward(params, xs):
        return jax.vmap(eqx.combine(params, rest))(xs)

    def loss(params, xs, y):
        return jnp.mean(optax.huber_loss(forward(params, xs), y))

    def step(params, state, xs, y):
        value, gradient = jax.value_and_grad(loss)(params, xs, y)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, value

    return {"forward": (forward, (params, xs)), "gradient": (jax.grad(loss), (params, xs, y)),
            "step": (step, (params, state, xs, y))}


class Attention(eqx.Module):
    """Causal self-attention over cached keys and values (2, length, heads, size). ``at``: the first new position."""

    qkv: eqx.nn.Linear
    out: eqx.nn.Linear
    heads: int = eqx.field(static=True)

    def __init__(self, width, heads, key):
        a, b = jax.random.split(key)
        self.qkv = eqx.nn.Linear(width, 3 * width, use_bias=False, key=a)
        self.out = eqx.nn.Linear(width, width, use_bias=False, key=b)
        self.heads = heads

    def __call__(self, x, cache, at):
        q, k, v = jnp.moveaxis(jax.vmap(self.qkv)(x).reshape(x.shape[0], 3, self.heads, -1), 1, 0)
        cache = lax.dynamic_update_slice(cache, jnp.stack([k, v]), (0, at, 0, 0))
        scores = jnp.einsum("qhd,khd->hqk", q, cache[0]) / q.shape[-1] ** 0.5
        seen = jnp.arange(cache.shape[1])[None] <= at + jnp.arange(x.shape[0])[:, None]
        weights = jax.nn.softmax(jnp.where(seen, scores, -1e9), -1)
        return jax.vmap(self.out)(jnp.einsum("hqk,khd->qhd", weights, cache[1]).reshape(x.shape)), cache


class Block(eqx.Module):
    attention: Attention
    mlp: eqx.nn.MLP
    norms: list

    def __init__(self, width, heads, key):
        a, b = jax.random.split(key)
        self.attention = Attention(width, heads, a)
        self.mlp = eqx.nn.MLP(width, width, 4 * width, 1, activation=jax.nn.gelu, key=b)
        self.norms = [eqx.nn.LayerNorm(width) for _ in range(2)]

    def __call__(self, x, cache, at):
        y, cache = self.attention(jax.vmap(self.norms[0])(x), cache, at)
        x = x + y
        return x + jax.vmap(self.mlp)(jax.vmap(self.norms[1])(x)), cache


class GPT(eqx.Module):
    """Decoder-only transformer with learned positions and tied embeddings."""

    tokens: eqx.nn.Embedding
    positions: jax.Array
    blocks: list
    norm: eqx.nn.LayerNorm

    def __init__(self, vocabulary, length, width, heads, layers, key):
        a, b, *keys = jax.random.split(key, 2 + layers)
        self.tokens = eqx.nn.Embedding(vocabulary, width, key=a)
        self.positions = 0.1 * jax.random.normal(b, (length, width))
        self.blocks = [Block(width, heads, k) for k in keys]
        self.norm = eqx.nn.LayerNorm(width)

    def caches(self):
        length, width = self.positions.shape
        heads = self.blocks[0].attention.heads
        return jnp.zeros((len(self.blocks), 2, length, heads, width // heads))

    def __call__(self, tokens, caches, at):
        """Logits of each of ``tokens``, which stand at positions ``at``, ``at`` + 1 ...; and the caches with them."""
        x = jax.vmap(self.tokens)(tokens)
        x = x + lax.dynamic_slice_in_dim(self.positions, at, len(tokens))
        new = []
        for block, cache in zip(self.blocks, caches):
            x, cache = block(x, cache, at)
            new.append(cache)
        return jax.vmap(self.norm)(x) @ self.tokens.weight.T, jnp.stack(new)


def gpt(vocabulary, length, width, heads, layers, batch):
    g = rng("gpt")
    texts = g.integers(0, vocabulary, (batch, length + 1)).astype("int32")
    prompt = texts[0, :length // 3]
    model = eqx.filter_eval_shape(GPT, vocabulary, length, width, heads, layers, jax.random.key(2))
    shapes, rest = eqx.partition(model, is_shape)
    params = weights(shapes, g)
    schedule = optax.warmup_cosine_decay_schedule(0.0, 3e-4, 10, 100)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=0.1))
    state = zeros(optimizer, params)

    def logits(params, tokens):
        model = eqx.combine(params, rest)
        return jax.vmap(lambda t: model(t, model.caches(), 0)[0])(tokens)

    def loss(params, texts):
        return optax.softmax_cross_entropy_with_integer_labels(logits(params, texts[:, :-1]), texts[:, 1:]).mean()

    def step(params, state, texts):
        value, gradient = jax.value_and_grad(loss)(params, texts)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, value

    def prefill(params, prompt):
        model = eqx.combine(params, rest)
        out, caches = model(prompt, model.caches(), 0)
        return jnp.argmax(out[-1]), caches

    def decode(params, caches, token, at):
        out, caches = eqx.combine(params, rest)(token[None], caches, at)
        return caches, jnp.argmax(out[0])

    def generate(params, prompt):
        """The prompt and what follows it, greedily, to the end of the context."""
        first, caches = prefill(params, prompt)
        tokens = jnp.zeros(length, jnp.int32).at[:len(prompt)].set(prompt).at[len(prompt)].set(first)

        def body(at, state):
            tokens, caches = state
            caches, token = decode(params, caches, tokens[at], at)
            return tokens.at[at + 1].set(token), caches

        return lax.fori_loop(len(prompt), length - 1, body, (tokens, caches))[0]

    def sample(params, prompt, seed):
        """As ``generate``, drawn at a temperature and until token 0 comes."""
        key = jax.random.key(seed)
        model = eqx.combine(params, rest)
        out, caches = model(prompt, model.caches(), 0)
        tokens = jnp.zeros(length, jnp.int32).at[:len(prompt)].set(prompt)

        def body(state):
            at, tokens, caches, logits = state
            token = jax.random.categorical(jax.random.fold_in(key, at), logits / 0.8).astype(jnp.int32)
            out, caches = model(token[None], caches, at)
            return at + 1, tokens.at[at].set(token), caches, out[0]

        def goes_on(state):
            at, tokens, *_ = state
            return (at < length) & (tokens[at - 1] != 0)

        return lax.while_loop(goes_on, body, (len(prompt), tokens, caches, out[-1]))[1]

    caches = f32(g, layers, 2, length, heads, width // heads)
    return {"forward": (logits, (params, texts[:, :-1])), "gradient": (jax.grad(loss), (params, texts)),
            "step": (step, (params, state, texts)), "prefill": (prefill, (params, prompt)),
            "decode": (decode, (params, caches, prompt[0], len(prompt))), "generate": (generate, (params, prompt)),
            "sample": (sample, (params, prompt, 7))}


PARTS = [
    *parts("lstm", lstm, {"forward": 1e-5, "gradient": 1e-4, "step": 1e-4}, donate=(0, 1)),
    *parts("gru", gru, {"forward": 1e-5, "gradient": 1e-4, "step": 1e-4}, donate=(0, 1)),
    *parts("gpt", lambda: gpt(61, 24, 32, 4, 2, 2), {"forward": 1e-5, "gradient": 1e-4, "step": 1e-3, "prefill": 1e-5,
                                                     "decode": 1e-5, "generate": 0, "sample": 0}, donate=(0, 1)),
]
