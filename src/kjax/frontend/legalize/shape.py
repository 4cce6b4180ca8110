"""Constants and data movement: shapes change, values do not."""

import numpy as np

from kjax.errors import CompileError
from kjax.frontend.attributes import constant_of
from kjax.frontend.builder import PART
from kjax.frontend.legalize.registry import rule
from kjax.ir.graph import Type
from kjax.isa import dtypes


@rule("stablehlo.constant", "chlo.constant", "sdy.constant")
def constant(b, node):
    return b.constant(constant_of(node.op, node.importer.blobs), node.type.dtype)


@rule("stablehlo.iota")
def iota(b, node):
    """Element types that cannot count (small floats, complex) count in a wide integer first."""
    type, dim = node.type, node.attr("iota_dimension")
    if type.info.kind in ("int", "uint") and type.info.bits >= 8 or type.dtype in ("f32", "f64"):
        return b.iota(type, dim)
    return b.convert(b.iota(Type("i64" if type.shape[dim] >= 1 << 31 else "i32", type.shape), dim), type.dtype)


@rule("stablehlo.reshape")
def reshape(b, node):
    return b.reshape(node.operands[0], node.type.shape)


@rule("stablehlo.broadcast_in_dim")
def broadcast_in_dim(b, node):
    return b.broadcast(node.operands[0], node.type.shape, node.attr("broadcast_dimensions"))


@rule("stablehlo.broadcast")
def broadcast(b, node):
    return b.broadcast(node.operands[0], node.type.shape)


@rule("stablehlo.transpose")
def transpose(b, node):
    return b.transpose(node.operands[0], node.attr("permutation"))


@rule("stablehlo.slice")
def slice_(b, node):
    return b.slice(node.operands[0], node.attr("start_indices"), node.attr("limit_indices"), node.attr("strides"))


@rule("stablehlo.reverse")
def reverse(b, node):
    return b.reverse(node.operands[0], node.attr("dimensions"))


@rule("stablehlo.concatenate")
def concatenate(b, node):
    dim = node.attr("dimension")
    parts = [v for v in node.operands if v.shape[dim]] or node.operands[:1]
    return b.concatenate(parts, dim)


@rule("stablehlo.pad")
def pad(b, node):
    x, value = node.operands
    return b.pad(x, value, node.attr("edge_padding_low"), node.attr("edge_padding_high"), node.attr("interior_padding"))


@rule("stablehlo.bitcast_convert")
def bitcast_convert(b, node):
    """Complex numbers go by their parts; types narrower than a byte are packed and unpacked by shifts."""
    (x,), type = node.operands, node.type
    if x.type == type:
        return x
    if (x.dtype in PART) != (type.dtype in PART):
        return _bitcast_complex(b, x, type)
    narrow, wide = sorted((x.type.info, type.info), key=lambda t: t.bits)
    if narrow.bits < 8 and narrow.bits != wide.bits:
        return _bitcast_narrow(b, x, type)
    return b.add("bitcast_convert", [x], type)


def _bitcast_complex(b, x, type):
    if x.dtype in PART:
        part = PART[x.dtype]
        parts = b.concatenate([b.reshape(b.map(p, x), (*x.shape, 1)) for p in ("real", "imag")], -1)
        if dtypes.BY_NAME[part].bits == type.info.bits:
            return b.add("bitcast_convert", [parts], type)
        raw = b.add("bitcast_convert", [parts], Type(type.dtype, (*parts.shape, type.shape[-1] // 2)))
        return b.reshape(raw, type.shape)
    part = PART[type.dtype]
    bits = dtypes.BY_NAME[part].bits
    if x.type.info.bits != bits:
        n = bits // x.type.info.bits
        x = b.reshape(x, (*x.shape[:-1], 2, n))
        x = b.add("bitcast_convert", [x], Type(part, x.shape[:-1]))
    else:
        x = b.bitcast(x, part)
    re, im = (b.reshape(b.slice_dim(x, -1, k, k + 1), type.shape) for k in (0, 1))
    return b.map("complex", re, im)


def _bitcast_narrow(b, x, type):
    """Between a type of 2 or 4 bits and one of whole bytes; the first narrow element is the lowest bits."""
    if x.type.info.bits < type.info.bits:  # (..., n) narrow -> (...) wide
        n, bits = type.info.bits // x.type.info.bits, x.type.info.bits
        if type.info.bits < 8:
            raise CompileError(f"bitcast_convert from {x.type} to {type} has no byte layout here.")
        carrier = "u" + str(type.info.bits)
        low = b.convert(b.bitcast(x, f"u{bits}"), carrier)
        shifts = b.constant(np.broadcast_to(np.arange(n) * bits, low.shape), carrier)
        packed = b.reduce(b.map("shl", low, shifts), 0, (low.type.rank - 1,), "or")
        return b.bitcast(packed, type.dtype)
    n, bits = x.type.info.bits // type.info.bits, type.info.bits
    carrier = "u" + str(x.type.info.bits)
    spread = b.broadcast(b.bitcast(x, carrier), type.shape, range(x.type.rank))
    shifts = b.constant(np.broadcast_to(np.arange(n) * bits, type.shape), carrier)
    low = b.map("and", b.map("shr_logical", spread, shifts), b.full((1 << bits) - 1, spread.type))
    return b.bitcast(b.convert(low, f"u{bits}"), type.dtype)


def _static(name):
    def lower(b, node):
        b.refuse(name, "shapes that depend on values are not possible in a program whose memory is planned",
                 "Use static shapes, or pad to the largest size and mask")
    return lower


for _name in ("dynamic_broadcast_in_dim", "dynamic_conv", "dynamic_gather", "dynamic_iota", "dynamic_pad",
              "dynamic_reshape", "real_dynamic_slice", "set_dimension_size"):
    rule("stablehlo." + _name)(_static("stablehlo." + _name))


@rule("stablehlo.get_dimension_size")
def get_dimension_size(b, node):
    return b.full(node.operands[0].shape[node.attr("dimension")], node.type)
