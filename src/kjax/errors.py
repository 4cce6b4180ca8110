"""What can go wrong, as a caller sees it. Every error says what is wrong, where, and what to do.

The classes derive from the built-in ones that users of JAX and NumPy catch. ``status`` is a row of
``isa/status.py`` where the engine gave one.
"""

from kjax.isa import status as _status

DOCS = "https://kjax.readthedocs.io/errors.html#"


class KjaxError(RuntimeError):
    """Base of all errors that kjax raises, but for wrong arguments (TypeError, ValueError as in JAX)."""

    anchor = "kjax-error"

    def __init__(self, message, *, status=None):
        self.status = _status.BY_NUMBER[status] if isinstance(status, int) else status
        named = f" [{self.status.name}]" if self.status else ""
        super().__init__(f"{message}{named}\nSee {DOCS}{self.anchor}")


class UnsupportedOpError(KjaxError, NotImplementedError):
    """An operation that kjax cannot compile; names the operation, the source line and what to do instead."""

    anchor = "unsupported-op"


class CompileError(KjaxError, ValueError):
    """The module is not one that kjax can read: not StableHLO, dynamic shapes, recursion; or a program that cannot leave its process."""

    anchor = "compile"


class VerifyError(KjaxError, ValueError):
    """The verifier refused a program; ``status`` says why and ``instruction`` where (None: not in the code)."""

    anchor = "verify"

    def __init__(self, message, *, status=None, instruction=None):
        self.instruction = instruction
        super().__init__(message, status=status)


class LimitError(KjaxError, MemoryError):
    """A program needs more memory, code or operations than the limits in force; nothing was taken."""

    anchor = "limit"


class DeadlineError(KjaxError, TimeoutError):
    """A run did not end within its deadline, or used up its fuel; the engine is usable at once."""

    anchor = "deadline"


class DeviceError(KjaxError, OSError):
    """The device, guest or accelerator is absent, refused or died; ``tail`` holds a guest's last lines."""

    anchor = "device"

    def __init__(self, message, *, status=None, tail=""):
        self.tail = tail
        super().__init__(message + (f"\nThe guest's last lines:\n{tail}" if tail else ""), status=status)


def for_status(number, message, *, instruction=None):
    """The error that stands for an engine status (an int); verifier refusals, limits and run-time ends."""
    row = _status.BY_NUMBER.get(number)
    if number in (80, 81, 102):
        return LimitError(message, status=row)
    if number in (96, 97, 98):
        return DeadlineError(message, status=row)
    if number < 96:
        return VerifyError(message, status=row, instruction=instruction)
    return DeviceError(message, status=row)
