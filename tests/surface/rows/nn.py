"""jax.nn."""

from jax import nn
from table import rows

ROWS = [
    *rows("nn", "x:4,6", "relu relu6 sigmoid softplus soft_sign silu swish log_sigmoid leaky_relu hard_sigmoid hard_tanh elu "
          "celu selu gelu softmax log_softmax standardize hard_silu mish squareplus".split()),
    *rows("nn", "n:7", [("one_hot", lambda i: nn.one_hot(i, 10))], grad=False, f64=False),
    *rows("nn", "x:2,5,2,4 x:2,5,2,4 x:2,5,2,4", ["dot_product_attention"], vmap=False, f64=3e-5),  # JAX takes logits in f32
]
