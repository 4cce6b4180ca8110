"""Tensor IR -> program: passes over the graph, fusion into nests, placement of buffers, encoding."""
