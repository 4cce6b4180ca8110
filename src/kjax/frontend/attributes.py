"""MLIR attributes and types -> plain Python and NumPy."""

import re

import numpy as np
from jaxlib.mlir import ir

from kjax.errors import CompileError, UnsupportedOpError
from kjax.ir.graph import Type
from kjax.isa import dtypes

_ELEMENT = dict(dtypes.BY_STABLEHLO)
_TENSOR = re.compile(r"tensor<((?:\d+x)*)(.+?)>$")
_TOKEN = re.compile(r"[\[\](),]|[^\[\](),\s]+")
_types = {}  # text of an MLIR type -> Type: modules repeat few types many times


TOKEN = Type("i1", (0,))  # orders effects, which stay in program order anyway: an array of nothing


def is_token(mlir_type):
    return str(mlir_type) == "!stablehlo.token"


def type_of(mlir_type):
    """Type of a ranked tensor with static dims. Raises CompileError, UnsupportedOpError."""
    text = str(mlir_type)
    if text not in _types:
        _types[text] = _parse_type(text)
    return _types[text]


def _parse_type(text):
    if "quant." in text:
        raise UnsupportedOpError(f"The type {text} is quantized. Dequantize to floats before exporting.")
    if "token" in text:
        return TOKEN
    if "?" in text or "tensor<*" in text:
        raise CompileError(f"The type {text} has dynamic dims that nothing in the module fixes. Export with concrete shapes, or "
                           "give kjax.compile the jax.export.Exported with symbolic ones.")
    match = _TENSOR.match(text.split(", #")[0] + (">" if ", #" in text else ""))
    if not match or match[2] not in _ELEMENT:
        raise CompileError(f"The type {text} is not a tensor of a known element type.")
    return Type(_ELEMENT[match[2]].name, tuple(int(n) for n in match[1].split("x")[:-1]))


def value_of(attribute):
    """A plain Python value: int, bool, str, float, tuple, NumPy array, or an enum's name."""
    if isinstance(attribute, ir.UnitAttr):
        return True
    if isinstance(attribute, (ir.IntegerAttr, ir.BoolAttr, ir.StringAttr, ir.FloatAttr, ir.FlatSymbolRefAttr)):
        return attribute.value
    if isinstance(attribute, (ir.DenseI64ArrayAttr, ir.DenseBoolArrayAttr, ir.DenseI32ArrayAttr)):
        return tuple(attribute)
    if isinstance(attribute, ir.ArrayAttr):
        return tuple(value_of(a) for a in attribute)
    if isinstance(attribute, ir.DictAttr):
        return {row.name: value_of(row.attr) for row in attribute}
    text = str(attribute)
    if text.startswith(("dense<", "dense_resource<")):
        return np.array(attribute) if _fast(attribute) else array_of(text)
    match = re.fullmatch(r"#\w+<(?:\w+ )?(\w+)>", text)  # #stablehlo<comparison_direction LT>
    return match[1] if match else attribute


def constant_of(op, blobs):
    """The array of a constant operation. ``blobs()`` gives the module's resource blobs by name.

    The bindings refuse to hand out complex constants: those are read from the operation's text.
    """
    try:
        attribute = op.attributes["value"]
    except TypeError:
        text = op.get_asm(print_generic_op_form=True, enable_debug_info=False)
        return array_of(text[text.index("dense"):text.rindex("}>")])
    if _fast(attribute):
        array = np.asarray(attribute)
        return array if attribute.is_splat else array.copy()
    return array_of(str(attribute), blobs)


def _fast(attribute):
    return isinstance(attribute, (ir.DenseIntElementsAttr, ir.DenseFPElementsAttr)) and \
        str(ir.ShapedType(attribute.type).element_type) in _BUFFER


_BUFFER = ("i1", "i8", "i16", "i32", "i64", "ui8", "ui16", "ui32", "ui64", "f16", "f32", "f64")


def array_of(text, blobs=dict):
    """Array of a printed dense attribute: a list of numbers, bytes in hexadecimal, or a resource's name."""
    body, _, type_text = text.rpartition(" : ")
    type = type_of(type_text)
    info = type.info
    inner = body[body.index("<") + 1:-1]
    raw = None
    if body.startswith("dense_resource<"):
        if inner not in blobs():
            raise CompileError(f"The constant {inner} is a resource that the module does not hold.")
        raw = blobs()[inner]
    elif inner.startswith('"0x'):
        raw = bytes.fromhex(inner[3:-1])
    if raw is not None:
        flat = np.frombuffer(raw, np.uint8)
        if info.bits < 8 and info.kind in ("int", "uint"):  # a byte each; only the low bits count
            flat = _narrow(flat, info)
        flat = flat.view(info.numpy)
    else:
        flat = _parse_numbers(inner, info)
    if flat.size == 1 and type.size != 1:
        return np.broadcast_to(flat.reshape(()), type.shape)
    return flat.reshape(type.shape)


def _narrow(bytes_, info):
    low = bytes_ & ((1 << info.bits) - 1)
    if info.kind == "int":
        shift = 8 - info.bits
        low = ((low << shift).view(np.int8) >> shift).view(np.uint8)
    return low


def _parse_numbers(text, info):
    """Numbers of a printed dense attribute, in order. Floats that are not finite are printed as their bits."""
    words = [w for w in _TOKEN.findall(text) if w not in "[](),"]
    if info.kind == "complex":
        part = np.dtype(np.float32 if info.name == "c64" else np.float64)
        return np.array([_number(w, part) for w in words], part).view(info.numpy)
    if info.kind == "bool":
        return np.array([w == "true" for w in words], np.bool_)
    if info.kind in ("int", "uint"):
        return np.array([int(w, 0) for w in words], np.int64 if info.kind == "int" else np.uint64).astype(info.numpy)
    return np.array([_number(w, info.numpy) for w in words], info.numpy)


def _number(word, dtype):
    if word.startswith("0x"):
        return np.array(int(word, 16), f"u{dtype.itemsize}").view(dtype)
    return np.float64(word).astype(dtype)


def resources(module):
    """name -> bytes of the module's resource blobs."""
    text = str(module)
    at = text.rfind("{-#")
    if at < 0:
        return {}
    found = re.findall(r'([\w.$-]+|"[^"]*"): "0x([0-9A-Fa-f]*)"', text[at:])
    return {name.strip('"'): bytes.fromhex(blob)[4:] for name, blob in found}  # first 4 bytes: alignment
