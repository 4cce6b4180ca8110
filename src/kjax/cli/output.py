"""What the verbs share: JSON or text, errors as one message on stderr, arrays from files."""

import functools
import json
import sys

import click
import numpy as np

from kjax.errors import KjaxError

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def show(data, as_json, text=None):
    """Print ``data`` (a dict) as JSON, or ``text`` / its items as lines."""
    if as_json:
        click.echo(json.dumps(data, indent=2, default=str))
    elif text is not None:
        click.echo(text)
    else:
        width = max(map(len, data), default=0)
        for key, value in data.items():
            click.echo(f"{key:<{width}}  {value}")


def reported(function):
    """Turn the errors that a user can cause into a message and exit status 1."""

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except (KjaxError, OSError, TypeError, ValueError) as error:
            if kwargs.get("as_json"):
                status = getattr(getattr(error, "status", None), "name", None)
                click.echo(json.dumps({"error": type(error).__name__, "status": status, "message": str(error)}))
            else:
                click.echo(f"kjax: {error}", err=True)
            sys.exit(1)

    return wrapped


def read_arrays(paths):
    """Arrays from ``.npy`` files and, in order of their names, from ``.npz`` archives."""
    arrays = []
    for path in paths:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            arrays.append(loaded)
        else:
            arrays += [loaded[name] for name in loaded.files]
    return arrays
