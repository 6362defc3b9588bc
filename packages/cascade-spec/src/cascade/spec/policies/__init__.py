"""Policies: what is chained to a lazy result, such as retries, timeouts and caching."""
