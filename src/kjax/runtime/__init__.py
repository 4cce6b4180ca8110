"""Environments: where programs run. Each module implements ``base.Environment``."""
