"""Why a task is called or not, without running it."""
