"""``python -m kjax`` is the command ``kjax``."""

from kjax.cli import main

if __name__ == "__main__":
    main(prog_name="kjax")
