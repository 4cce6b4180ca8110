"""Models that are not networks: a filter, differential equations by diffrax, option prices, a minimum by L-BFGS."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.scipy.stats import norm
from model import f32, parts, rng


def kalman():
    """Position and velocity in two dims from noisy positions; the likelihood's gradient in the noise's logarithms."""
    g = rng("kalman")
    observations = np.cumsum(f32(g, 40, 2), 0)
    logs = np.array([-1.0, 0.5], np.float32)
    F = jnp.kron(jnp.array([[1.0, 1.0], [0.0, 1.0]]), jnp.eye(2))
    H = jnp.eye(2, 4)

    def run(logs, observations):
        Q, R = jnp.exp(logs[0]) * jnp.eye(4), jnp.exp(logs[1]) * jnp.eye(2)

        def step(state, z):
            m, P, total = state
            m, P = F @ m, F @ P @ F.T + Q
            residual, S = z - H @ m, H @ P @ H.T + R
            K = jnp.linalg.solve(S, H @ P).T
            total += -0.5 * (residual @ jnp.linalg.solve(S, residual) + jnp.linalg.slogdet(2 * jnp.pi * S)[1])
            m, P = m + K @ residual, P - K @ S @ K.T
            return (m, P, total), m

        (_, P, total), means = lax.scan(step, (jnp.zeros(4), 10 * jnp.eye(4), 0.0), observations)
        return total, means, P

    def likelihood(logs, observations):
        return run(logs, observations)[0]

    def step(logs, observations):
        return logs + 0.01 * jax.grad(likelihood)(logs, observations)

    return {"forward": (run, (logs, observations)), "gradient": (jax.value_and_grad(likelihood), (logs, observations)),
            "step": (step, (logs, observations))}


def ode():
    """A van der Pol oscillator with adaptive steps, its gradient through the solver, and the fit of its parameter."""
    y0 = np.array([2.0, 0.0], np.float32)
    mu = np.float32(1.5)

    def solve(mu, y0):
        term = diffrax.ODETerm(lambda t, y, mu: jnp.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]]))
        controller = diffrax.PIDController(rtol=1e-3, atol=1e-4, pcoeff=0.3, icoeff=0.4)
        solution = diffrax.diffeqsolve(term, diffrax.Tsit5(), 0.0, 3.0, 0.1, y0, args=mu, max_steps=64,
                                       saveat=diffrax.SaveAt(ts=jnp.linspace(0.0, 3.0, 7)),
                                       stepsize_controller=controller)
        return solution.ys, solution.stats["num_accepted_steps"]

    def loss(mu, y0):
        return jnp.sum(solve(mu, y0)[0] ** 2)

    def step(mu, y0):
        return mu - 0.01 * jax.grad(loss)(mu, y0)

    gradient = jax.value_and_grad(loss, argnums=(0, 1))
    return {"forward": (solve, (mu, y0)), "gradient": (gradient, (mu, y0)), "step": (step, (mu, y0))}


def sde():
    """Paths of an Ornstein-Uhlenbeck process, by Heun's method over a virtual Brownian tree."""
    g = rng("sde")
    keys = g.integers(0, 2**31, 5).astype("uint32")

    def path(seed, theta, sigma):
        key = jax.random.key(seed)
        noise = diffrax.VirtualBrownianTree(0.0, 1.0, tol=1e-2, shape=(2,), key=key)
        drift = diffrax.ODETerm(lambda t, y, _: -theta * y)
        diffusion = diffrax.ControlTerm(lambda t, y, _: sigma * jnp.eye(2), noise)
        terms = diffrax.MultiTerm(drift, diffusion)
        return diffrax.diffeqsolve(terms, diffrax.Heun(), 0.0, 1.0, 0.0625, jnp.ones(2), max_steps=16).ys[0]

    def paths(theta, sigma, seeds):
        return jax.vmap(lambda s: path(s, theta, sigma))(seeds)

    def mean(theta, sigma, seeds):
        return jnp.mean(paths(theta, sigma, seeds) ** 2)

    theta, sigma = np.float32(0.7), np.float32(0.3)
    args = theta, sigma, keys
    return {"forward": (paths, args), "gradient": (jax.grad(mean, argnums=(0, 1)), args)}


def call(spot, volatility, time, strike, rate):
    """The price of a European call."""
    root = volatility * jnp.sqrt(time)
    d1 = (jnp.log(spot / strike) + (rate + volatility**2 / 2) * time) / root
    return spot * norm.cdf(d1) - strike * jnp.exp(-rate * time) * norm.cdf(d1 - root)


def black_scholes():
    g = rng("black-scholes")
    n = 64
    columns = [x.astype(np.float32) for x in (g.uniform(80, 120, n), g.uniform(0.1, 0.5, n), g.uniform(0.1, 2, n))]
    args = (*columns, np.float32(100), np.float32(0.03))
    axes = (0, 0, 0, None, None)
    greeks = jax.vmap(jax.value_and_grad(call, argnums=(0, 1, 2, 4)), axes)
    second = jax.vmap(jax.hessian(call, argnums=(0, 1)), axes)

    def implied(volatility, spot, time, strike, rate, prices):
        """A step of Newton's method towards the volatility that explains a price."""
        price, vega = jax.vmap(jax.value_and_grad(call, argnums=1), axes)(spot, volatility, time, strike, rate)
        return volatility - (price - prices) / jnp.maximum(vega, 1e-3)

    prices = np.asarray(jax.vmap(call, axes)(*args)) * np.float32(1.02)
    return {"forward": (jax.vmap(call, axes), args), "gradient": (greeks, args), "second": (second, args),
            "step": (implied, (columns[1], columns[0], columns[2], *args[3:], prices))}


def lbfgs():
    """Logistic regression by L-BFGS with a zoom line search, until the gradient is small."""
    g = rng("lbfgs")
    x = f32(g, 50, 6)
    y = (x @ f32(g, 6) + f32(g, 50, scale=0.5) > 0).astype(np.float32)
    w = np.zeros(6, np.float32)
    optimizer = optax.lbfgs(memory_size=5)

    def loss(w, x, y):
        z = x @ w
        return jnp.mean(jnp.logaddexp(0.0, z) - y * z) + 0.05 * jnp.sum(w**2)

    def step(w, state, x, y):
        def value_of(w):
            return loss(w, x, y)

        value, gradient = optax.value_and_grad_from_state(value_of)(w, state=state)
        updates, state = optimizer.update(gradient, state, w, value=value, grad=gradient, value_fn=value_of)
        return optax.apply_updates(w, updates), state

    def minimize(w, x, y):
        def goes_on(carry):
            _, state, count = carry
            gradient = optax.tree.get(state, "grad")
            return (count == 0) | ((count < 25) & (optax.tree.norm(gradient) > 1e-3))

        def body(carry):
            w, state, count = carry
            return *step(w, state, x, y), count + 1

        w, _, count = lax.while_loop(goes_on, body, (w, optimizer.init(w), 0))
        return w, loss(w, x, y)

    state = jax.tree_util.tree_map(np.asarray, optimizer.init(w))
    return {"forward": (minimize, (w, x, y)), "gradient": (jax.value_and_grad(loss), (w, x, y)),
            "step": (step, (w, state, x, y))}


PARTS = [
    *parts("kalman", kalman, {"forward": 1e-5, "gradient": 1e-4, "step": 1e-4}),
    # the solver chooses its steps by rounded errors: two ways to round differ by what its own tolerance allows
    *parts("ode", ode, {"forward": 1e-3, "gradient": 1e-2, "step": 1e-3}),
    *parts("sde", sde, {"forward": 1e-4, "gradient": 1e-3}),
    *parts("black_scholes", black_scholes, {"forward": 1e-5, "gradient": 1e-4, "second": 1e-4, "step": 1e-4}),
    *parts("lbfgs", lbfgs, {"forward": 1e-3, "gradient": 1e-5, "step": 1e-4}, donate=(0, 1)),
]
