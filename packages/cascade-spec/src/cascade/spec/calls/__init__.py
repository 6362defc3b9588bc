"""What a call is made of: its arguments, what stands in them for a value, and the signature of what is called."""
