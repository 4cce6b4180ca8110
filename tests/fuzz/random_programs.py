"""Random programs in JAX, each made from a number: blocks of operations on what is there so far, loops and choices around blocks.

All numbers are small integers, of whatever type, and are brought back to small ones after each operation, so that every order
of summation and every type of sum gives the same: two runs of a program must agree in each bit.
"""

import random

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

SHAPES = ((), (), (1,), (4,), (4,), (3, 4), (70,), (2, 3, 4), (0, 4))
TYPES = (jnp.float32, jnp.float32, jnp.int32, jnp.int32, jnp.bool_, jnp.int8, jnp.uint8, jnp.float16)
NUMBERS = tuple(t for t in TYPES if t is not jnp.bool_)


def small(x):
    if x.dtype == jnp.bool_:
        return x
    return x & 15 if jnp.issubdtype(x.dtype, jnp.integer) else lax.rem(x, jnp.asarray(16, x.dtype))


def cast(x, dtype):
    if x.dtype == dtype:
        return x
    return x > 3 if dtype == jnp.bool_ else jnp.abs(small(x.astype(jnp.int32))).astype(dtype)


def arguments(seed):
    g = np.random.default_rng(seed)
    kinds = [((4,), np.float32), ((3, 4), np.float32), ((), np.int32), ((70,), np.int32), ((4,), np.bool_), ((), np.bool_),
             ((), np.float32), ((4,), np.int32), ((2, 3, 4), np.float32), ((3, 4), np.int8), ((4,), np.float16)]
    return [g.integers(0, 2 if dtype is np.bool_ else 9, shape).astype(dtype) for shape, dtype in kinds]


def program(seed, *, length=10, depth=2):
    """A function of ``arguments``: a list of results, in which a value may be several times."""
    def function(*args):
        maker = Maker(seed)
        values = maker.block(list(args), length, depth)
        return [maker.choice(values) for _ in range(maker.below(7) + 2)] + values[-2:]

    return function


class Maker:
    """Makes operations by a random generator of its own: JAX traces bodies more than once, each time they must be the same."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.choice, self.below = self.random.choice, self.random.randrange

    def chance(self, p):
        return self.random.random() < p

    def value(self, values, shape, dtype):
        """One of ``values`` of that type, or something made of one."""
        fit = [v for v in values if v.shape == shape and (v.dtype == dtype or self.chance(0.1))]
        if not fit:
            v = self.choice([v for v in values if v.size] or [jnp.float32(1)])
            fit = [jnp.broadcast_to(v.reshape(-1)[self.below(v.size)], shape)]
        return cast(self.choice(fit), dtype)

    def block(self, values, length, depth):
        values = list(values)
        for _ in range(length):
            if depth and self.chance(0.25):
                values += self.choice((self.cond, self.switch, self.loop, self.scan, self.rows))(values, depth - 1)
            else:
                x = self.choice(values)
                made = self.choice((self.elementwise, self.elementwise, self.choose, self.fold, self.move, self.place, self.order,
                                    self.multiply, self.convert))(values, x)
                values.append(small(made))
        return values

    # -- operations -----------------------------------------------------------------------------------------------
    def elementwise(self, values, x):
        dtype = self.choice(NUMBERS)
        a, b = (self.value(values, x.shape, dtype) for _ in "ab")
        flags = [self.value(values, x.shape, jnp.bool_) for _ in "ab"]
        return self.choice((
            lambda: self.choice((jnp.add, jnp.subtract, jnp.multiply, jnp.maximum, jnp.minimum))(a, b),
            lambda: self.choice((jnp.less, jnp.equal, jnp.greater_equal))(a, b),
            lambda: self.choice((jnp.logical_and, jnp.logical_or, jnp.logical_xor))(*flags), lambda: ~flags[0], lambda: -a))()

    def choose(self, values, x):
        a, b = (self.value(values, x.shape, x.dtype) for _ in "ab")
        return jnp.where(self.value(values, self.choice((x.shape, ())), jnp.bool_), a, b)

    def fold(self, values, x):
        if not x.ndim:
            return jnp.broadcast_to(x, self.choice(SHAPES))
        axis = self.choice((self.below(x.ndim), tuple(range(x.ndim))))
        if x.dtype == jnp.bool_:
            return self.choice((jnp.any, jnp.all))(x, axis=axis)
        if isinstance(axis, int) and x.shape[axis] and self.chance(0.3):
            return self.choice((jnp.argmax, jnp.argmin))(x, axis=axis)
        return jnp.sum(x, axis=axis, dtype=x.dtype) if self.chance(0.5) or not x.size else jnp.max(x, axis=axis)

    def move(self, values, x):
        if not x.ndim:
            return x
        return self.choice((
            lambda: x[::-1], lambda: jnp.roll(x, 1, 0), lambda: x.T.reshape(x.shape), lambda: jnp.concatenate([x[1:], x[:1]]),
            lambda: x[..., ::2].repeat(2, -1)[..., :x.shape[-1]], lambda: jnp.flip(x, -1), lambda: x.reshape(-1)[:4],
            lambda: lax.pad(x, x.dtype.type(0), [(1, -1, 0)] + [(0, 0, 0)] * (x.ndim - 1)),
            lambda: jnp.stack([x, x[::-1]])[self.below(2)], lambda: jnp.broadcast_to(x, (2, *x.shape)).sum(0, dtype=x.dtype)
            if x.dtype != jnp.bool_ else x))()

    def place(self, values, x):
        """Windows read and written at places that are computed."""
        i, many = self.value(values, (), jnp.int32) - 2, self.value(values, (4,), jnp.int32) - 2
        if not x.ndim:
            return x
        row, rows = self.value(values, x.shape[1:], x.dtype), self.value(values, (4, *x.shape[1:]), x.dtype)
        mode = self.choice(("clip", "drop", None))
        if not x.shape[0]:
            return x.at[many].set(rows)
        numbers = x.dtype != jnp.bool_
        return self.choice((
            lambda: x[i], lambda: x[many], lambda: x.at[i].set(row, mode=mode), lambda: x.at[self.below(x.shape[0])].set(row),
            lambda: x.at[many].add(rows, mode=mode) if numbers else x.at[many].set(x[many]),
            lambda: x.at[many].max(rows) if numbers else x, lambda: jnp.take_along_axis(x, x.astype(jnp.int32) & 1, 0),
            lambda: lax.dynamic_update_slice_in_dim(x, lax.dynamic_slice_in_dim(x, i, 1, 0), i // 2, 0)))()

    def order(self, values, x):
        if not x.ndim:
            return x
        other = self.value(values, x.shape, self.choice(TYPES))
        sorts = (lambda: jnp.sort(x, axis=-1), lambda: lax.sort((other, x), num_keys=self.below(2) + 1)[1],
                 lambda: jnp.argsort(x, axis=0, descending=self.chance(0.5)))
        numbers = (lambda: jnp.cumsum(x, axis=0, dtype=x.dtype), lambda: lax.cummax(x, axis=0, reverse=self.chance(0.5)),
                   lambda: lax.reduce_window(x, x.dtype.type(0), lax.add, (2,) * x.ndim, (1,) * x.ndim, "SAME"))
        return self.choice(sorts + numbers if x.dtype != jnp.bool_ else sorts)()

    def multiply(self, values, x):
        a, b = (self.value(values, (3, 4), jnp.float32) for _ in "ab")
        batch, row = self.value(values, (2, 3, 4), jnp.float32), self.value(values, (4,), jnp.float32)
        return self.choice((lambda: a @ b.T, lambda: (a @ b.T) @ b, lambda: jnp.einsum("bij,ij->bi", batch, a), lambda: a @ row,
                            lambda: jnp.einsum("bij,bkj->bik", batch, batch), lambda: row @ row,
                            lambda: jnp.convolve(row, b[0], mode="same")))()

    def convert(self, values, x):
        if x.dtype == jnp.float32 and self.chance(0.2):
            return lax.bitcast_convert_type(lax.bitcast_convert_type(x, jnp.int32) & ~1, jnp.float32)
        return cast(x, self.choice(TYPES))

    # -- control ----------------------------------------------------------------------------------------------------
    def state(self, values):
        state = [self.choice(values) for _ in range(self.below(4) + 1)]
        return state + [self.value(values, (), jnp.bool_)] if self.chance(0.6) else state

    def body(self, around, state, length, depth):
        """A function of a state that returns one of the same types; it may use values of ``around``."""
        seed, types = self.random.random(), [(v.shape, v.dtype) for v in state]

        def function(*now):
            maker = Maker(seed)
            values = maker.block((around if maker.chance(0.5) else []) + list(now), length, depth)
            late = values[-6:] if maker.chance(0.7) else values
            return [maker.value(late, *t) for t in types]

        return function

    def cond(self, values, depth):
        state = self.state(values)
        branches = [self.body(values, state, self.below(4), depth) for _ in "ab"]
        return list(lax.cond(self.value(values, (), jnp.bool_), *branches, *state))

    def switch(self, values, depth):
        state = self.state(values)
        branches = [self.body(values, state, self.below(4), depth) for _ in range(3)]
        return list(lax.switch(self.value(values, (), jnp.int32), branches, *state))

    def loop(self, values, depth):
        state, limit, seed = self.state(values), self.below(6), self.random.random()
        step = self.body(values, state, self.below(4) + 1, depth)

        def goes_on(now):
            maker = Maker(seed)
            known = maker.block((values if maker.chance(0.5) else []) + now[1:], maker.below(4), depth if maker.chance(0.3) else 0)
            flag = maker.value(known[-3:], (), jnp.bool_)
            return (now[0] < limit) & maker.choice((flag, ~flag, flag | maker.value(now, (), jnp.bool_)))

        return list(lax.while_loop(goes_on, lambda now: [now[0] + 1, *step(*now[1:])], [jnp.int32(0), *state]))

    def scan(self, values, depth):
        state, xs = self.state(values), [v for v in values if v.shape[:1] == (4,)][-2:]
        step = self.body(values, [*state, self.choice(state)], self.below(4) + 1, depth)

        def function(carry, x):
            *carry, out = step(*carry, *x)
            return carry, (out, x[-1:])

        carry, outs = lax.scan(function, state, xs, length=4, reverse=self.chance(0.3))
        return list(carry) + jax.tree.leaves(outs)

    def rows(self, values, depth):
        """A block for each row of a matrix."""
        x = self.value(values, (3, 4), self.choice(TYPES))
        step = self.body(values, [x[0], x[0, 0]], self.below(3) + 1, depth)
        return list(jax.vmap(step)(x, x[:, 0]))
