"""Recovery: runs that were interrupted go on, with the inputs that they have kept."""
