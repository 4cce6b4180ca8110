"""Refusals of tensors and arguments (statuses 32, 33)."""

import pytest
from images import PROGRAMS, assembled, in_place, map_nest, poke, with_argument, with_tensor

from kjax.bytecode.assembler import assemble
from kjax.bytecode.program import Argument, Image, Tensor

TENSOR = 32


@pytest.fixture
def good():
    return assemble(map_nest())


@pytest.mark.parametrize("dtype", [0, 31, 32, 255])
def test_unknown_dtype(refuses, good, dtype):
    refuses(poke(good, "B", 3 * TENSOR, dtype, within="TENS"), "bad_tensor")
    refuses(poke(good, "B", 4, dtype, within="ARGS"), "bad_argument")


@pytest.mark.parametrize("storage", [0, 5, 255])
def test_unknown_storage(refuses, good, storage):
    refuses(poke(good, "B", 3 * TENSOR + 1, storage, within="TENS"), "bad_tensor")


@pytest.mark.parametrize("at", [2, 3, 24, 31])
def test_reserved_field_of_a_tensor(refuses, good, at):
    refuses(poke(good, "B", TENSOR + at, 1, within="TENS"), "reserved_set")


@pytest.mark.parametrize("fields", [
    dict(bytes=0), dict(bytes=10), dict(offset=2), dict(offset=28), dict(bytes=2**64 - 4), dict(offset=2**64 - 4),
    dict(offset=4), dict(bytes=28), dict(offset=2**63), dict(bytes=2**63), dict(index=1)])
def test_tensor_outside_its_storage(refuses, fields):
    refuses(with_tensor("map_nest", 3, **fields), "bad_tensor")  # in an arena of 24 bytes


@pytest.mark.parametrize("fields", [dict(bytes=16), dict(offset=4), dict(index=7)])
def test_constant_outside_its_storage(refuses, fields):
    refuses(with_tensor("map_nest", 1, **fields), "bad_tensor")


def test_second_tensor_of_an_argument(verify, refuses):
    def image(**fields):
        program = map_nest()
        program.tensors.append(Tensor("u8", fields.pop("storage", "input"), **fields))
        return assemble(program)

    verify(image(bytes=24))
    verify(image(bytes=4, offset=20, storage="output"))
    refuses(image(bytes=25), "bad_tensor")
    refuses(image(bytes=1, offset=24), "bad_tensor")
    refuses(image(bytes=1, index=1), "bad_tensor")
    refuses(image(bytes=1, index=1, storage="output"), "bad_tensor")
    refuses(image(bytes=1, index=2**32 - 1), "bad_tensor")


def test_argument_fields(refuses, good):
    refuses(poke(good, "H", 6, 1, within="ARGS"), "reserved_set")
    refuses(poke(good, "I", 12, 1, within="ARGS"), "reserved_set")
    refuses(poke(good, "B", 5, 13, within="ARGS"), "bad_argument")
    refuses(poke(good, "Q", 16, (1 << 40) + 1, within="ARGS"), "too_large")
    refuses(poke(good, "QQ", 16, 1 << 40, 1 << 40, within="ARGS"), "too_large")


@pytest.mark.parametrize("fields", [
    dict(tensor=4), dict(tensor=None), dict(tensor=2), dict(tensor=1), dict(dtype="i32"), dict(shape=(2, 4)),
    dict(shape=(0, 3)), dict(shape=(2, 3), alias=0)])
def test_argument_and_tensor_differ(refuses, fields):
    refuses(with_argument("map_nest", "inputs", 0, **fields), "bad_argument")


@pytest.mark.parametrize("kind, fields", [
    ("inputs", dict(offset=4, bytes=20)), ("inputs", dict(bytes=20)), ("inputs", dict(dtype="i32")),
    ("inputs", dict(storage="output")), ("inputs", dict(index=1))])
def test_tensor_does_not_cover_its_argument(refuses, kind, fields):
    refuses(with_tensor("map_nest", 0, **fields), "bad_argument")


@pytest.mark.parametrize("fields", [dict(alias=1), dict(alias=2**32 - 2), dict(shape=(4, 2)), dict(shape=(2, 2, 2))])
def test_alias(refuses, fields):
    refuses(with_argument("in_place", "outputs", 0, **fields), "bad_argument")


def test_two_outputs_update_one_input(refuses):
    refuses(with_argument("in_place", "outputs", 1, alias=0), "bad_argument")


def test_alias_of_another_dtype(refuses):
    image = in_place()
    image.outputs[0] = Argument(1, "i32", (8,), alias=0)
    image.tensors[1] = Tensor("i32", "output", 32)
    refuses(assemble(image), "bad_argument")


@pytest.mark.parametrize("n", [1, 127, 128, 129, 1000, 4096])
def test_many_arguments(verify, refuses, n):
    """Arguments are found by number, whatever their ranks; each output updates the input opposite."""
    def image(**last):
        shapes = [(1,) * (k % 5) + (k + 1,) for k in range(n)]
        tensors = [Tensor("u8", storage, k + 1, 0, k) for storage in ("input", "output") for k in range(n)]
        inputs = [Argument(k, "u8", s) for k, s in enumerate(shapes)]
        outputs = [Argument(n + k, "u8", s, alias=k) for k, s in enumerate(shapes)]
        return assemble(Image(tensors + [Tensor("u8", "input", **last)], inputs, outputs))

    assert verify(image(bytes=n, index=n - 1))["input_bytes"] == n * (n + 1) // 2
    refuses(image(bytes=n + 1, index=n - 1), "bad_tensor")


def test_empty_arguments(verify, refuses):
    facts = verify(assemble(PROGRAMS["empty"]()))
    assert facts["input_bytes"] == facts["output_bytes"] == 0
    verify(assembled(PROGRAMS["empty"](), inputs=[Argument(None, "f32", (1 << 40, 0, 1 << 40))]))
