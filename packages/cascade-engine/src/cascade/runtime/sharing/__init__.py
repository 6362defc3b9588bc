"""What the runs of one engine share: its capacity, the computations of cached values, its executors."""
