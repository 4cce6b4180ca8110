"""kjax guest: set up and try the guest."""

import click

from kjax.cli.output import json_option, reported, show


@click.command("guest")
@click.option("--setup", is_flag=True, help="Fetch the kernel, build the module and the guest's file system; boot nothing.")
@json_option
@reported
def command(setup, as_json):
    """Boot a guest, load the module, say what it offers, shut it down."""
    from kjax.runtime import guest

    def progress(message, *_):
        if not as_json:
            click.echo(f"  {message}", err=True)

    made = guest.setup(progress)
    if setup:
        return show({"ready": str(made)}, as_json)
    import time

    start = time.perf_counter()
    environment = guest.GuestEnvironment()
    try:
        devices = [f"{d.id}: {d.name} {' '.join(d.features)}" for d in environment.devices()]
        data = {"seconds to boot": round(time.perf_counter() - start, 1), "devices": devices,
                "memory": environment.memory()}
        return show(data, as_json)
    finally:
        environment.close()
