"""Where the C side of an installed kjax is: ``python -m kjax.config --cflags --libs`` for compilers.

Works from a wheel, an editable install and a checkout in which ``make inplace`` was run.
"""

import importlib.resources
import pathlib

import click

_PACKAGE = pathlib.Path(__file__).parent


def sources():
    """Folder with ``engine/``, ``module/``, ``include/`` and Kbuild: the package's copy, or the checkout. LookupError if absent."""
    for folder in (_PACKAGE / "_sources", _PACKAGE.parents[1]):
        if (folder / "engine" / "engine.h").exists():
            return folder
    raise LookupError("this installation of kjax has no sources; install it from its wheel")


def include():
    """Folder to compile with: ``#include <kjax/kjax.h>``."""
    return sources() / "include"


def library():
    """Path of ``libkjax.so.0``. Raises LookupError when it was not built."""
    for found in (_PACKAGE / "lib" / "libkjax.so.0", importlib.resources.files("kjax").joinpath("lib", "libkjax.so.0")):
        path = pathlib.Path(str(found))
        if path.exists():
            return path
    raise LookupError("libkjax.so.0 is not here; install kjax from its wheel, or run make inplace")


@click.command()
@click.option("--cflags", is_flag=True, help="Flags to compile with.")
@click.option("--libs", is_flag=True, help="Flags to link with.")
@click.option("--sources", "show_sources", is_flag=True, help="Where the module's sources are.")
def main(cflags, libs, show_sources):
    """Flags for C programs that use libkjax."""
    words = [f"-I{include()}"] if cflags else []
    if libs:
        words += [f"-L{library().parent}", "-l:libkjax.so.0", f"-Wl,-rpath,{library().parent}"]
    if show_sources:
        words.append(str(sources()))
    click.echo(" ".join(words))


if __name__ == "__main__":
    main()
