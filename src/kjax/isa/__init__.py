"""The instruction set as tables: the one place where a number, a name or a limit is written down.

Everything else (C headers, the verifier, the assembler, the reference pages) is generated from or
imports these tables. Nothing in this package imports another part of kjax.
"""
