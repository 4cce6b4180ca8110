"""All models of this room, by name. To be imported before equinox is."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# a failed check of equinox makes NaN: by default it calls back into Python, which no program can
os.environ.setdefault("EQX_ON_ERROR", "nan")

import control
import science
import sequence
import vision

PARTS = {part.name: part for part in control.PARTS + vision.PARTS + sequence.PARTS + science.PARTS}
