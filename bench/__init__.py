"""Speed, as ratios of medians within one run: ``python -m bench``."""
