"""Small networks that act: a perceptron in equinox, and an update of proximal policy optimisation in flax.linen."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from model import f32, is_shape, parts, rng, weights, zeros


def mlp():
    g = rng("mlp")
    x, y = f32(g, 16, 31), f32(g, 16, 2)
    shapes, rest = eqx.partition(eqx.filter_eval_shape(eqx.nn.MLP, 31, 2, 64, 2, key=jax.random.key(0)), is_shape)
    params = weights(shapes, g)
    optimizer = optax.adamw(1e-3)
    state = zeros(optimizer, params)

    def forward(params, x):
        return jax.vmap(eqx.combine(params, rest))(x)

    def loss(params, x, y):
        return jnp.mean((forward(params, x) - y) ** 2)

    def step(params, state, x, y):
        value, gradient = jax.value_and_grad(loss)(params, x, y)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, value

    return {"forward": (forward, (params, x)), "gradient": (jax.grad(loss), (params, x, y)),
            "step": (step, (params, state, x, y))}


class ActorCritic(nn.Module):
    """Logits of the actions, and the value of the state."""

    actions: int

    @nn.compact
    def __call__(self, x):
        def tower(out, x):
            for _ in range(2):
                x = nn.tanh(nn.Dense(32, kernel_init=nn.initializers.orthogonal(np.sqrt(2)))(x))
            return nn.Dense(out, kernel_init=nn.initializers.orthogonal(0.1))(x)

        return tower(self.actions, x), tower(1, x)[..., 0]


def advantages(rewards, values, done, last, discount=0.99, decay=0.95):
    """Generalised advantage estimation, backwards in time."""
    def step(carry, row):
        advantage, following = carry
        reward, value, over = row
        delta = reward + discount * following * (1 - over) - value
        advantage = delta + discount * decay * (1 - over) * advantage
        return (advantage, value), advantage

    return lax.scan(step, (jnp.zeros_like(last), last), (rewards, values, done), reverse=True)[1]


def ppo(steps=16, actors=4, features=5, actions=3, epochs=2, minibatches=4):
    g = rng("ppo")
    observations = f32(g, steps, actors, features)
    batch = {"observation": observations, "action": g.integers(0, actions, (steps, actors)).astype("int32"),
             "reward": f32(g, steps, actors), "done": (g.random((steps, actors)) < 0.1).astype(np.float32),
             "value": f32(g, steps, actors), "log": -np.abs(f32(g, steps, actors)), "last": f32(g, actors)}
    model = ActorCritic(actions)
    params = weights(jax.eval_shape(model.init, jax.random.key(0), observations), g)
    optimizer = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(2.5e-4, eps=1e-5))
    state = zeros(optimizer, params)

    def loss(params, rows):
        logits, value = model.apply(params, rows["observation"])
        logs = jax.nn.log_softmax(logits)
        log = jnp.take_along_axis(logs, rows["action"][:, None], 1)[:, 0]
        clipped = rows["value"] + jnp.clip(value - rows["value"], -0.2, 0.2)
        critic = 0.5 * jnp.maximum((value - rows["target"]) ** 2, (clipped - rows["target"]) ** 2).mean()
        ratio = jnp.exp(log - rows["log"])
        gain = (rows["advantage"] - rows["advantage"].mean()) / (rows["advantage"].std() + 1e-8)
        actor = -jnp.minimum(ratio * gain, jnp.clip(ratio, 0.8, 1.2) * gain).mean()
        entropy = -jnp.sum(jnp.exp(logs) * logs, -1).mean()
        return actor + 0.5 * critic - 0.01 * entropy

    def rows_of(batch):
        gain = advantages(batch["reward"], batch["value"], batch["done"], batch["last"])
        rows = {**{k: batch[k] for k in ("observation", "action", "value", "log")}, "advantage": gain,
                "target": gain + batch["value"]}
        return jax.tree_util.tree_map(lambda x: x.reshape(steps * actors, *x.shape[2:]), rows)

    def update(params, state, batch, seed):
        rows = rows_of(batch)

        def minibatch(carry, rows):
            params, state = carry
            value, gradient = jax.value_and_grad(loss)(params, rows)
            updates, state = optimizer.update(gradient, state)
            return (optax.apply_updates(params, updates), state), value

        def epoch(carry, key):
            order = jax.random.permutation(key, steps * actors)
            shuffled = jax.tree_util.tree_map(lambda x: x[order].reshape(minibatches, -1, *x.shape[1:]), rows)
            return lax.scan(minibatch, carry, shuffled)

        keys = jax.random.split(jax.random.key(seed), epochs)
        (params, state), values = lax.scan(epoch, (params, state), keys)
        return params, state, values

    return {"forward": (model.apply, (params, observations)),
            "gradient": (lambda params, batch: jax.grad(loss)(params, rows_of(batch)), (params, batch)),
            "step": (update, (params, state, batch, 3))}


PARTS = [
    *parts("mlp", mlp, {"forward": 1e-5, "gradient": 1e-5, "step": 1e-4}, donate=(0, 1)),
    *parts("ppo", ppo, {"forward": 1e-5, "gradient": 1e-4, "step": 1e-3}, donate=(0, 1)),
]
