"""What the runs of one engine share: capacity, computations, places to run at."""
