"""rng_bit_generator: ThreeFry-2x32 and Philox-4x32 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3").

Counters are laid out over the result as XLA lays them out, so that the bits are those of XLA:CPU.
"""

from kjax.frontend.builder import BITS_OF
from kjax.frontend.legalize.registry import rule
from kjax.ir.graph import Type

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
PHILOX_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
PHILOX_WEYL = (0x9E3779B9, 0xBB67AE85)


@rule("stablehlo.rng")
def rng(b, node):
    b.refuse("stablehlo.rng", "it draws from a hidden state, so that no two runs agree",
             "Use jax.random with a key, or lax.rng_bit_generator with a state")


@rule("stablehlo.rng_bit_generator")
def rng_bit_generator(b, node):
    """State u64[2] or u64[3]: the key, then the counter. ``DEFAULT`` is Philox, as on XLA:CPU."""
    (state,), (_, out) = node.operands, node.types
    if state.dtype != "u64" or state.type.rank != 1 or state.shape[0] not in (2, 3):
        b.refuse("stablehlo.rng_bit_generator", f"its state is {state.type}", "Use a state of u64[2] or u64[3]")
    words = [b.reshape(b.slice_dim(state, 0, k, k + 1), ()) for k in range(state.shape[0])]
    bits = Type(BITS_OF[max(4, out.info.size)], out.shape)
    generate = threefry_bits if node.attr("rng_algorithm") == "THREE_FRY" else philox_bits
    value, counter = generate(b, words[0], words[1:], bits)
    value = b.bitcast(b.convert(value, BITS_OF[out.info.size]), out.dtype)
    return [b.concatenate([b.reshape(w, (1,)) for w in (words[0], *counter)], 0), value]


def _halves(b, x):
    """Low and high u32 words of an Expr of u64."""
    return x.to("u32"), (x >> 32).to("u32")


def _joined(low, high):
    return low.to("u64") | (high.to("u64") << 32)


def _count(b, type):
    """0, 1, 2, ... in row-major order, as an Expr of u64."""
    return b.expr(b.reshape(b.iota(Type("u64", (type.size,)), 0), type.shape))


# -- ThreeFry ----------------------------------------------------------------------------------------------------
def threefry_2x32(key, counter):
    """20 rounds on a pair of Exprs of u32 with a pair of keys of the same shape."""
    keys = (*key, key[0] ^ key[1] ^ PARITY)
    x0, x1 = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(5):
        for r in ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = x0 ^ ((x1 << r) | (x1 >> (32 - r)))
        x0 = x0 + keys[(group + 1) % 3]
        x1 = x1 + keys[(group + 2) % 3] + (group + 1)
    return x0, x1


def threefry_bits(b, key, counter, type):
    """Bits of ``type`` (u32 or u64) and the next counter."""
    (start,) = counter[:1]
    if type.dtype == "u64":
        return _joined(*_threefry_at(b, key, start, type)).value, [_advanced(b, start, type.size)]
    dim = _split_dim(type.shape)
    size = type.shape[dim] if type.rank else 1
    half = (size + 1) // 2
    # each counter makes two neighbouring words along the split dim
    shape = (*type.shape[:dim], half, 1, *type.shape[dim + 1:]) if type.rank else (1, 1)
    pair = _threefry_at(b, key, start, Type("u64", shape))
    counters = _advanced(b, start, pair[0].type.size)
    if not type.rank:
        return b.reshape(pair[0].value, ()), [counters]
    both = b.concatenate([p.value for p in pair], dim + 1)
    flat = b.reshape(both, (*type.shape[:dim], 2 * half, *type.shape[dim + 1:]))
    return b.slice_dim(flat, dim, 0, size), [counters]


def _split_dim(shape):
    """The first even dim, or else the largest."""
    even = [k for k, n in enumerate(shape) if n % 2 == 0]
    return even[0] if even else max(range(len(shape)), key=lambda k: (shape[k], -k), default=0)


def _threefry_at(b, key, start, type):
    counter = _count(b, type) + b.broadcast(start, type.shape)
    keys = [b.expr(b.broadcast(k.value, type.shape)) for k in _halves(b, b.expr(key))]
    return threefry_2x32(keys, _halves(b, counter))


def _advanced(b, counter, n):
    return (b.expr(counter) + n).value


# -- Philox ----------------------------------------------------------------------------------------------------
def philox_4x32(key, x):
    """10 rounds on four Exprs of u32."""
    for _ in range(10):
        (low0, high0), (low1, high1) = (_product(x[k], m) for k, m in zip((0, 2), PHILOX_MULTIPLIERS, strict=True))
        x = (high1 ^ x[1] ^ key[0], low1, high0 ^ x[3] ^ key[1], low0)
        key = tuple(k + w for k, w in zip(key, PHILOX_WEYL, strict=True))
    return x


def _product(x, multiplier):
    wide = x.to("u64") * multiplier
    return wide.to("u32"), (wide >> 32).to("u32")


def philox_bits(b, key, counter, type):
    """Bits of ``type`` (u32 or u64) and the next counter. A 128-bit counter makes four words.

    A counter of one word is the lower half of the 128 bits; the key is then the upper half, as in XLA.
    """
    low, high = counter if len(counter) == 2 else (counter[0], key)
    per_counter = 4 if type.dtype == "u32" else 2
    n = -(-type.size // per_counter)
    vector = Type("u64", (n,))
    start = b.expr(b.broadcast(low, (n,)))
    at = start + _count(b, vector)
    top = b.expr(b.broadcast(high, (n,)))
    top = (at < start).where(top + 1, top)
    keys = [b.expr(b.broadcast(k.value, (n,))) for k in _halves(b, b.expr(key))]
    words = philox_4x32(keys, (*_halves(b, at), *_halves(b, top)))
    if type.dtype == "u64":
        words = (_joined(*words[:2]), _joined(*words[2:]))
    rows = b.concatenate([b.reshape(w.value, (n, 1)) for w in words], 1)
    flat = b.slice_dim(b.reshape(rows, (n * per_counter,)), 0, 0, type.size)
    following = b.expr(low) + n
    carried = (following < low).where(b.expr(high) + 1, b.expr(high))
    return b.reshape(flat, type.shape), [following.value, carried.value][: len(counter)]
