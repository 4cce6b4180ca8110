"""The host's side of ``agent.h``: frames and records as bytes. No I/O here, and nothing the guest says is believed."""

import struct
from dataclasses import dataclass

VERSION = 1
MAGIC = 0x31414A4B
MAX_FRAME = 16 << 20
MAX_OPS = 1024
MAX_ANSWER = 1 << 30  # a longer answer is garbage

FRAME = struct.Struct("<IIII")  # magic, id, count, length
OP = struct.Struct("<HHI7Q")  # code, flags, length, args
ANSWER = struct.Struct("<IIq")  # code, length, value

WRITE, READ, SYSCALL, NOW, SPAWN, CANCEL = range(1, 7)
ALWAYS = 1

# System calls that the host asks for, x86-64
SYSCALLS = {"read": 0, "write": 1, "open": 2, "close": 3, "mmap": 9, "munmap": 11, "ioctl": 16, "mkdir": 83,
            "syslog": 103, "mount": 165, "reboot": 169, "init_module": 175, "delete_module": 176}

_U64 = (1 << 64) - 1


class ProtocolError(Exception):
    """What came from the guest is not what agent.h says."""


@dataclass(frozen=True)
class Op:
    code: int
    args: tuple = ()
    data: object = b""  # bytes-like
    always: bool = False


def write(address, data, **keywords):
    return Op(WRITE, (address,), data, **keywords)


def read(address, length, **keywords):
    return Op(READ, (address, length), **keywords)


def syscall(name, *args, **keywords):
    return Op(SYSCALL, (SYSCALLS[name], *args), **keywords)


def now(address, delta):
    """``address`` (u64) becomes the guest's monotonic clock + ``delta``, in nanoseconds."""
    return Op(NOW, (address, delta))


@dataclass(frozen=True)
class Answer:
    value: int  # negative errno on failure
    data: memoryview


def encode(number, ops):
    """A request as a list of buffers to send one after the other."""
    parts, length = [b""], 0
    for op in ops:
        data = memoryview(op.data)
        data = data.cast("B") if data.nbytes else memoryview(b"")
        args = [a & _U64 for a in op.args] + [0] * (7 - len(op.args))
        parts.append(OP.pack(op.code, ALWAYS if op.always else 0, len(data), *args))
        parts.append(data)
        parts.append(bytes(-len(data) % 8))
        length += OP.size + len(data) + -len(data) % 8
    if length > MAX_FRAME or len(ops) > MAX_OPS:
        raise ValueError(f"{len(ops)} operations with {length} bytes do not fit one frame")
    parts[0] = FRAME.pack(MAGIC, number, len(ops), length)
    return parts


def decode_head(head):
    """(id, count, length) of an answering frame. Raises ProtocolError."""
    magic, number, count, length = FRAME.unpack(head)
    if magic != MAGIC or length > MAX_ANSWER or length % 8 or count > MAX_OPS or count * ANSWER.size > length:
        raise ProtocolError(f"no frame of the agent's: {bytes(head).hex()}")
    return number, count, length


def decode(count, body):
    """The answers in a frame's records. Raises ProtocolError."""
    answers, at, body = [], 0, memoryview(body)
    for _ in range(count):
        if at + ANSWER.size > len(body):
            raise ProtocolError("an answer runs past its frame")
        _, length, value = ANSWER.unpack_from(body, at)
        at += ANSWER.size
        if at + length + -length % 8 > len(body):
            raise ProtocolError("an answer's data runs past its frame")
        answers.append(Answer(value, body[at:at + length]))
        at += length + -length % 8
    if at != len(body):
        raise ProtocolError("bytes are left over at a frame's end")
    return answers


@dataclass(frozen=True)
class Hello:
    release: str
    machine: str
    model: str
    flags: tuple


def decode_hello(data):
    """What the agent says first. Raises ProtocolError."""
    lines = bytes(data).decode(errors="replace").split("\n")
    if len(lines) < 5 or lines[0] != str(VERSION):
        raise ProtocolError(f"the agent speaks version {lines[0]!r}, not {VERSION}")
    return Hello(lines[1], lines[2], lines[3], tuple(lines[4].split()))
