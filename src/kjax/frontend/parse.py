"""Whatever a caller has -> an MLIR module: text, bytecode, portable artifact, jax.export objects and their bytes."""

from jaxlib.mlir import ir
from jaxlib.mlir.dialects import stablehlo

from kjax.errors import CompileError, UnsupportedOpError

_BYTECODE = b"ML\xefR"


def make_context():
    """An MLIR context that knows the dialects that JAX writes (func, stablehlo, chlo, sdy)."""
    from jax._src.interpreters import mlir

    return mlir.make_ir_context()


def module_of(source):
    """An ``ir.Module`` (in a context of its own, unless ``source`` is a module). Raises CompileError."""
    if isinstance(source, ir.Module):
        return source
    if hasattr(source, "mlir_module_serialized"):  # jax.export.Exported
        return _portable(source.mlir_module_serialized)
    if hasattr(source, "compiler_ir"):  # jax.stages.Lowered
        return source.compiler_ir("stablehlo")
    if isinstance(source, str):
        return _parse(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _of_bytes(bytes(source))
    raise TypeError(f"Cannot read StableHLO from a {type(source).__name__}: give text, bytes, an MLIR module, "
                    "a jax.stages.Lowered or a jax.export.Exported.")


def _of_bytes(data):
    if data.startswith(_BYTECODE):
        return _portable(data)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return _exported(data)
    return _parse(text) if "\0" not in text else _exported(data)


def deserialized(data):
    """The ``jax.export.Exported`` that bytes hold; None where they begin or read like StableHLO, or are nothing."""
    if data.startswith(_BYTECODE):
        return None
    try:
        if "\0" not in data.decode():
            return None
    except UnicodeDecodeError:
        pass
    from jax import export

    try:
        return export.deserialize(bytearray(data))
    except Exception:  # whatever it is, module_of() has the words for it
        return None


def _exported(data):
    """Bytes of ``jax.export.Exported.serialize()``: a flatbuffer."""
    try:
        from jax import export

        exported = export.deserialize(bytearray(data))
    except Exception as error:
        raise CompileError("These bytes are neither StableHLO (text, bytecode, portable artifact) nor a serialized "
                           f"jax.export.Exported: {_first_line(error)}") from error
    return _portable(exported.mlir_module_serialized)


def _portable(data):
    """Bytecode; a portable artifact (VHLO) is brought to the StableHLO of this jaxlib first."""
    context = make_context()
    try:
        with context:
            if hasattr(stablehlo, "deserialize_portable_artifact"):
                try:
                    return stablehlo.deserialize_portable_artifact(context, data)
                except Exception:  # plain bytecode in the current StableHLO
                    return ir.Module.parse(data)
            return ir.Module.parse(data)
    except Exception as error:
        raise CompileError(f"The StableHLO bytes cannot be read: {_first_line(error)}") from error


def _parse(text):
    try:
        with make_context():
            return ir.Module.parse(text)
    except Exception as error:
        if '"quant"' in str(error):
            raise UnsupportedOpError("The module has quantized types (!quant.uniform), which kjax does not have. "
                                     "Dequantize to floats or use plain integers.") from error
        raise CompileError(f"The StableHLO text cannot be read: {_first_line(error)}") from error


def _first_line(error):
    lines = [line for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3]) if lines else type(error).__name__
