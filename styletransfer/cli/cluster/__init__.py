"""The option --engine ray: the jobs of `stylize` on the workers of a cluster."""
