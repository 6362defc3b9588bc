"""A Dask cluster: how requests get to its workers, and what its scheduler and workers do for that."""
