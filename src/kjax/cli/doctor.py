"""kjax doctor: what this machine offers, what is missing, and what to do about it."""

import importlib.util
import os
import platform
import shutil
from pathlib import Path

import click

from kjax.cli.output import json_option, show


def _lockdown():
    path = Path("/sys/kernel/security/lockdown")
    try:
        return path.read_text().split("[")[1].split("]")[0]
    except (OSError, IndexError):
        return "none"


def checks():
    """Rows of (what, ok, detail or remedy)."""
    rows = []

    def row(what, ok, detail):
        rows.append({"check": what, "ok": bool(ok), "detail": detail})

    try:
        from kjax import _engine

        row("engine", True, "cpu tables " + ", ".join(_engine.cpus()))
    except ImportError as error:
        row("engine", False, f"{error}: install kjax with pip so that its engine is built")
    row("jax", importlib.util.find_spec("jax"), "compiles functions; a saved program runs without it")
    node = Path("/dev/kjax")
    if not node.exists():
        row("/dev/kjax", False, "the module is not loaded: modprobe kjax (or use environment='guest')")
    elif not os.access(node, os.R_OK | os.W_OK):
        row("/dev/kjax", False, "no rights: join the group kjax, or run with CAP_SYS_ADMIN")
    else:
        row("/dev/kjax", True, "readable and writable")
    release = platform.release()
    headers = Path("/lib/modules") / release / "build"
    row("kernel headers", headers.exists(), str(headers) if headers.exists() else f"apt-get install linux-headers-{release}")
    lockdown = _lockdown()
    row("lockdown", lockdown == "none", lockdown if lockdown == "none" else f"{lockdown}: the module must be signed with an "
        "enrolled key (mokutil --import)")
    btf = Path("/sys/kernel/btf/vmlinux")
    row("BTF", btf.exists(), str(btf) if btf.exists() else "no type information: kfuncs for BPF will not be available")
    for tool, package in (("qemu-system-x86_64", "qemu-system-x86"), ("gcc", "gcc"), ("make", "make")):
        found = shutil.which(tool)
        row(tool, found, found or f"for the guest: apt-get install {package}")
    return rows


@click.command("doctor")
@json_option
def command(as_json):
    """Check what kjax needs: engine, jax, device node, headers, lockdown, BTF, QEMU."""
    rows = checks()
    show({"checks": rows}, as_json, "\n".join(f"{'ok ' if r['ok'] else 'no '} {r['check']:<20} {r['detail']}" for r in rows))
