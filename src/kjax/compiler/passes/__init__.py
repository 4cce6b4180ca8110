"""Graph-to-graph rewrites. Each module has one function ``run(graph)``; ``compiler.pipeline`` gives the order."""
