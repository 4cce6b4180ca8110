"""The project's cache: folders that are either whole or absent, whoever built them and however that ended.

``~/.cache/kjax`` by default (``$XDG_CACHE_HOME/kjax``), or ``$KJAX_CACHE``. A folder is built beside its final
place and renamed into it, under one lock file, so two processes never do the same work at once and a killed
one leaves nothing that looks finished.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from kjax.errors import DeviceError


def root():
    """The cache's folder, as a Path; it may not exist yet."""
    if own := os.environ.get("KJAX_CACHE"):
        return Path(own).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "kjax"


@contextlib.contextmanager
def _locked(folder):
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(relative, make):
    """The path of ``relative`` in the cache, built by ``make(path)`` in a scratch folder when it is absent.

    ``relative``: a path like "kernels/6.1.0-9-amd64". Waits while another process builds in the same parent.
    Raises DeviceError when the cache cannot be written, and what ``make`` raises.
    """
    final = root() / relative
    if final.is_dir():
        return final
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with _locked(final.parent):
            if final.is_dir():
                return final
            scratch = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
            try:
                make(scratch)
                scratch.chmod(0o755)
                scratch.rename(final)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    except PermissionError as e:
        raise DeviceError(f"the cache {root()} cannot be written ({e.strerror}); set KJAX_CACHE to a folder of yours") from e
    return final
