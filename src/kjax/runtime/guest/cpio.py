"""An initramfs archive ("newc" cpio, Documentation/driver-api/early-userspace/buffer-format.rst)."""

import stat


def _entry(name, mode, data=b""):
    name = name.encode() + b"\0"
    # magic, then 13 numbers of 8 hex digits: inode (0: no hard links), mode, uid, gid, links, mtime, size,
    # device and rdevice (major, minor), length of the name, checksum (0 in this format)
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % f for f in fields) + name
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def archive(files):
    """The bytes of an archive that holds ``files``: {path without a leading slash: bytes}, all of mode 755."""
    out, folders = [], set()
    for path, data in files.items():
        parts = path.split("/")
        for depth in range(1, len(parts)):
            if (folder := "/".join(parts[:depth])) not in folders:
                folders.add(folder)
                out.append(_entry(folder, stat.S_IFDIR | 0o755))
        out.append(_entry(path, stat.S_IFREG | 0o755, data))
    out.append(_entry("TRAILER!!!", 0))
    return b"".join(out)
