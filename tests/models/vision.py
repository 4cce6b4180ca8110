"""Models of images: LeNet and ResNet-18 in flax.linen, a U-Net in flax.nnx."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import nnx
from model import f32, parts, rng, weights, zeros


class LeNet(nn.Module):
    """LeNet-5 with average pooling."""

    @nn.compact
    def __call__(self, x):
        for features in (6, 16):
            x = nn.avg_pool(nn.tanh(nn.Conv(features, (5, 5))(x)), (2, 2), (2, 2))
        x = x.reshape(x.shape[0], -1)
        for width in (120, 84):
            x = nn.tanh(nn.Dense(width)(x))
        return nn.Dense(10)(x)


class Residual(nn.Module):
    """A basic block: two 3x3 convolutions and a way around them."""

    features: int
    stride: int
    train: bool

    @nn.compact
    def __call__(self, x):
        norm = partial(nn.BatchNorm, use_running_average=not self.train, momentum=0.9)
        conv = partial(nn.Conv, use_bias=False)
        y = nn.relu(norm()(conv(self.features, (3, 3), self.stride)(x)))
        y = norm(scale_init=nn.initializers.zeros)(conv(self.features, (3, 3))(y))
        if x.shape != y.shape:
            x = norm()(conv(self.features, (1, 1), self.stride)(x))
        return nn.relu(x + y)


class ResNet18(nn.Module):
    """ResNet-18 for small images: a 3x3 stem without pooling. ``width`` is 64 in the paper."""

    width: int = 64
    classes: int = 10

    @nn.compact
    def __call__(self, x, train):
        norm = nn.BatchNorm(use_running_average=not train, momentum=0.9)
        x = nn.relu(norm(nn.Conv(self.width, (3, 3), use_bias=False)(x)))
        for stage in range(4):
            for block in range(2):
                x = Residual(self.width << stage, 2 if stage and not block else 1, train)(x)
        return nn.Dense(self.classes)(x.mean((1, 2)))


def cross_entropy(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def lenet():
    g = rng("lenet")
    images, labels = f32(g, 8, 28, 28, 1), g.integers(0, 10, 8).astype("int32")
    model = LeNet()
    params = weights(jax.eval_shape(model.init, jax.random.key(0), images), g)
    optimizer = optax.sgd(0.05, momentum=0.9, nesterov=True)
    state = zeros(optimizer, params)

    def loss(params, images, labels):
        return cross_entropy(model.apply(params, images), labels)

    def step(params, state, images, labels):
        value, gradient = jax.value_and_grad(loss)(params, images, labels)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, value

    return {"forward": (model.apply, (params, images)), "gradient": (jax.grad(loss), (params, images, labels)),
            "step": (step, (params, state, images, labels))}


def resnet18(width, size, batch):
    g = rng("resnet18")
    images, labels = f32(g, batch, size, size, 3), g.integers(0, 10, batch).astype("int32")
    model = ResNet18(width)
    shapes = jax.eval_shape(lambda key, x: model.init(key, x, False), jax.random.key(0), images)
    params, statistics = (weights(shapes[name], g) for name in ("params", "batch_stats"))
    optimizer = optax.chain(optax.add_decayed_weights(5e-4), optax.sgd(0.1, momentum=0.9))
    state = zeros(optimizer, params)

    def forward(params, statistics, images):
        return model.apply({"params": params, "batch_stats": statistics}, images, False)

    def loss(params, statistics, images, labels):
        variables = {"params": params, "batch_stats": statistics}
        logits, changed = model.apply(variables, images, True, mutable=["batch_stats"])
        return cross_entropy(logits, labels), changed["batch_stats"]

    def gradient(params, statistics, images, labels):
        return jax.grad(loss, has_aux=True)(params, statistics, images, labels)[0]

    def step(params, statistics, state, images, labels):
        (value, statistics), gradient = jax.value_and_grad(loss, has_aux=True)(params, statistics, images, labels)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), statistics, state, value

    return {"forward": (forward, (params, statistics, images)),
            "gradient": (gradient, (params, statistics, images, labels)),
            "step": (step, (params, statistics, state, images, labels))}


class Double(nnx.Module):
    """Two 3x3 convolutions with group normalisation."""

    def __init__(self, before, after, rngs):
        self.convolutions = nnx.List([nnx.Conv(n, after, (3, 3), rngs=rngs) for n in (before, after)])
        self.norms = nnx.List([nnx.GroupNorm(after, num_groups=4, rngs=rngs) for _ in range(2)])

    def __call__(self, x):
        for conv, norm in zip(self.convolutions, self.norms):
            x = nnx.silu(norm(conv(x)))
        return x


class UNet(nnx.Module):
    """Down by max pooling, up by transposed convolutions; beside what comes up, what each level had on its way down."""

    def __init__(self, channels, widths, rngs):
        befores = (channels, *widths[:-1])
        self.down = nnx.List([Double(a, b, rngs) for a, b in zip(befores, widths)])
        ups = list(zip(widths[:0:-1], widths[-2::-1]))
        self.up = nnx.List([nnx.ConvTranspose(a, b, (2, 2), strides=(2, 2), rngs=rngs) for a, b in ups])
        self.after = nnx.List([Double(2 * b, b, rngs) for _, b in ups])
        self.out = nnx.Conv(widths[0], channels, (1, 1), rngs=rngs)

    def __call__(self, x):
        kept = []
        for k, block in enumerate(self.down):
            x = block(x if k == 0 else nnx.max_pool(x, (2, 2), (2, 2)))
            kept.append(x)
        for up, block, beside in zip(self.up, self.after, kept[-2::-1]):
            x = block(jnp.concatenate([up(x), beside], -1))
        return self.out(x)


def unet():
    g = rng("unet")
    x, y = f32(g, 2, 16, 16, 1), f32(g, 2, 16, 16, 1)
    structure, shapes = nnx.split(nnx.eval_shape(lambda: UNet(1, (8, 16, 32), nnx.Rngs(0))))
    params = weights(nnx.to_pure_dict(shapes), g)
    optimizer = optax.adam(1e-3)
    state = zeros(optimizer, params)

    def forward(params, x):
        return nnx.merge(structure, params)(x)

    def loss(params, x, y):
        return jnp.mean((forward(params, x) - y) ** 2)

    def step(params, state, x, y):
        value, gradient = jax.value_and_grad(loss)(params, x, y)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, value

    return {"forward": (forward, (params, x)), "gradient": (jax.grad(loss), (params, x, y)),
            "step": (step, (params, state, x, y))}


PARTS = [
    *parts("lenet", lenet, {"forward": 1e-5, "gradient": 1e-4, "step": 1e-4}, donate=(0, 1)),
    *parts("resnet18", lambda: resnet18(8, 32, 2), {"forward": 1e-4, "gradient": 1e-3, "step": 1e-3}, donate=(0, 1, 2)),
    *parts("resnet18", lambda: resnet18(64, 32, 2), {"forward": 1e-4, "gradient": 1e-3, "step": 1e-3}, donate=(0, 1, 2),
           full=True),
    *parts("unet", unet, {"forward": 1e-4, "gradient": 1e-3, "step": 1e-3}, donate=(0, 1)),
]
