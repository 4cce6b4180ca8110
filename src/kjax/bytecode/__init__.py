"""Programs as data: records of instructions, their bytes, their text."""
