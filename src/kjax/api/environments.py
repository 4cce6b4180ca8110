"""Environments by name: one of each in a process, made on first use."""

from kjax.errors import KjaxError
from kjax.runtime import locks

NAMES = ("embedded", "device", "guest")
_lock = locks.lock()
_made = {}


def _make(name):
    if name == "embedded":
        from kjax.runtime.embedded import Embedded

        return Embedded()
    if name == "device":
        from kjax.runtime.device import DeviceEnvironment

        return DeviceEnvironment()
    from kjax.runtime.guest import GuestEnvironment

    return GuestEnvironment()


def get(environment):
    """The environment of that name, or ``environment`` itself when it is one. Raises ValueError, DeviceError."""
    if environment is None:
        environment = "embedded"
    if not isinstance(environment, str):
        return environment
    if environment not in NAMES:
        raise ValueError(f"environment {environment!r} is not one of {', '.join(map(repr, NAMES))}")
    with _lock:
        if environment not in _made or getattr(_made[environment], "closed", False):
            _made[environment] = _make(environment)
        return _made[environment]


def close_all():
    """Close every environment that this process has made."""
    with _lock:
        while _made:
            _, environment = _made.popitem()
            try:
                environment.close()
            except (KjaxError, OSError):
                pass
