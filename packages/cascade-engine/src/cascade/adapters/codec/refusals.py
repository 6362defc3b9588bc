"""Remedies for values that no codec stores, whatever its format."""

SECRET = "secrets are never stored: store what was made with it, not the secret"
LAZY = "store its value: pass it to a task, or return it by itself and it stands for its value"
