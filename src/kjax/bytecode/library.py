"""Libraries (``.kjl``): an archive of programs by function, transformation and argument types.

``docs/spec/library.md`` has the prose, ``engine/library.h`` the C layouts; the engine's parser decides what is
a library, this one is for tools and for writing.
"""

import re
import struct
from dataclasses import dataclass

import xxhash

from kjax.bytecode.types import signature_of
from kjax.errors import VerifyError
from kjax.isa import container, status

MAGIC = b"KJL\x1a"
HEADER = struct.Struct("<4sHHQIIQQ24x")  # magic, major, minor, total, entries, flags (0), bytes of strings, hash
ENTRY = struct.Struct("<IIIIQQ")  # function, transformation, signature (offsets in the strings), 0, offset, bytes
NAME_MAX = 63  # bytes of a function's or transformation's name
SIGNATURE_MAX = 65535
MAX_ENTRIES = 4096

_SPACE = re.compile(r"[ \t\n]+")
_LINK = re.compile(r"[ \t\n]*([a-z0-9_]+)[ \t\n]*(\[[^\]]*\])?[ \t\n]*")


@dataclass(frozen=True)
class Entry:
    """One program: ``image`` is a whole ``.kjx``. ``signature`` is what ``bytecode.types.signature_of`` says of it."""

    function: str
    transformation: str
    signature: str
    image: bytes

    @property
    def key(self):
        return tuple(s.encode() for s in (self.function, self.transformation, self.signature))


def normalise(transformation):
    """The one spelling of a transformation: no white space, no bare ``jit`` around others ("jit" alone stays).

    ``"jit( vmap(grad) )"`` -> ``"vmap(grad)"``. Options stand in brackets: ``"grad[argnums=1]"``. Raises ValueError.
    """
    rest = transformation
    links, opened = [], 0
    while True:
        found = _LINK.match(rest)
        if not found:
            raise ValueError(f"not a transformation: {transformation!r}; write for example 'jit(vmap(grad))'")
        links.append(_SPACE.sub("", found.group()))
        rest = rest[found.end():]
        if not rest.startswith("("):
            break
        rest, opened = rest[1:], opened + 1
    if _SPACE.sub("", rest) != ")" * opened:
        raise ValueError(f"parentheses do not match in transformation {transformation!r}")
    kept = [link for link in links if link != "jit"] or ["jit"]
    text = "(".join(kept) + ")" * (len(kept) - 1)
    if len(text) > NAME_MAX:
        raise ValueError(f"transformation longer than {NAME_MAX} bytes: {text!r}")
    return text


def _text(name, text, most):
    data = text.encode()
    if not 0 < len(data) <= most or b"\0" in data:
        raise ValueError(f"{name} must be 1 to {most} bytes without NUL: {text!r}")
    return data


def entry(function, transformation, image):
    """An Entry with its transformation normalised and its signature read from the image. Raises ValueError."""
    return Entry(function, normalise(transformation), signature_of(image), bytes(image))


def _hash(header, rest):
    digests = (xxhash.xxh64_intdigest(header, 0), xxhash.xxh64_intdigest(rest, 0))
    return xxhash.xxh64_intdigest(struct.pack("<QQ", *digests), 0)


def pack(entries):
    """The bytes of a library. Order does not matter; raises ValueError for two entries with one key, or none at all."""
    entries = sorted(entries, key=lambda e: e.key)
    if not 0 < len(entries) <= MAX_ENTRIES:
        raise ValueError(f"a library holds 1 to {MAX_ENTRIES} programs, not {len(entries)}")
    for a, b in zip(entries, entries[1:]):
        if a.key == b.key:
            raise ValueError(f"twice in one library: {a.transformation} of {a.function} for {a.signature}")
    strings, known = bytearray(), {}

    def string(name, text, most):
        data = _text(name, text, most)
        if data not in known:
            known[data] = len(strings)
            strings.extend(data + b"\0")
        return known[data]

    names = [(string("function", e.function, NAME_MAX), string("transformation", normalise(e.transformation), NAME_MAX),
              string("signature", e.signature, SIGNATURE_MAX)) for e in entries]
    first = HEADER.size + ENTRY.size * len(entries) + len(strings)
    padding = -first % container.ALIGNMENT
    at, table = first + padding, b""
    for e, (function, transformation, signature) in zip(entries, names):
        if not e.image or len(e.image) % container.ALIGNMENT:
            raise ValueError(f"not a program: {e.function}")
        table += ENTRY.pack(function, transformation, signature, 0, at, len(e.image))
        at += len(e.image)
    rest = table + bytes(strings) + bytes(padding)

    def header(digest):
        return HEADER.pack(MAGIC, container.VERSION_MAJOR, container.VERSION_MINOR, at, len(entries), 0, len(strings),
                           digest)

    return b"".join([header(_hash(header(0), rest)), rest, *(e.image for e in entries)])


def _refuse(name, why):
    raise VerifyError(f"not a usable library: {why}", status=status.BY_NAME[name])


def unpack(data):
    """The entries of a library's bytes, in order. Raises VerifyError for what is damaged, foreign or newer.

    The programs themselves are not verified here: loading one does that.
    """
    data = bytes(data)
    if len(data) < HEADER.size:
        _refuse("truncated", "shorter than a header")
    magic, major, minor, total, count, flags, n_strings, digest = HEADER.unpack_from(data)
    if magic != MAGIC:
        _refuse("bad_magic", "not a kjax library")
    if major != container.VERSION_MAJOR or minor > container.VERSION_MINOR:
        _refuse("bad_version", f"written for version {major}.{minor}")
    if total != len(data):
        _refuse("truncated", f"{len(data)} bytes, the header says {total}")
    index = HEADER.size + ENTRY.size * count
    end = index + n_strings
    end += -end % container.ALIGNMENT
    if flags or not 0 < count <= MAX_ENTRIES or end > len(data):
        _refuse("bad_section", "the header does not describe this file")
    head = HEADER.pack(magic, major, minor, total, count, flags, n_strings, 0)
    if data[:40] != HEADER.pack(magic, major, minor, total, count, flags, n_strings, digest)[:40] \
            or _hash(head, data[HEADER.size:end]) != digest or any(data[40:HEADER.size]):
        _refuse("bad_hash", "the index does not match its hash")
    strings = data[index:index + n_strings]

    def string(at):
        stop = strings.find(b"\0", at)
        if at >= n_strings or stop < 0:
            _refuse("bad_section", "a name reaches outside the strings")
        return strings[at:stop].decode(errors="replace")

    entries = []
    for i in range(count):
        *names, zero, offset, n = ENTRY.unpack_from(data, HEADER.size + ENTRY.size * i)
        if zero or offset != end or not n or n % container.ALIGNMENT or n > total - end:
            _refuse("bad_section", f"entry {i} is not where it should be")
        end += n
        entries.append(Entry(*map(string, names), data[offset:end]))
    if end != total or any(a.key >= b.key for a, b in zip(entries, entries[1:])):
        _refuse("bad_section", "entries out of order, or bytes after the last one")
    return tuple(entries)


def find(entries, function, transformation, signature=None):
    """The entry for a function, a transformation in any spelling and (None: the first) argument types; None if absent."""
    wanted = normalise(transformation)
    for e in entries:
        if e.function == function and e.transformation == wanted and signature in (None, e.signature):
            return e
    return None
