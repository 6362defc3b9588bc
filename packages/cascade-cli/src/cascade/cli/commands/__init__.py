"""The commands of `cascade`: each builds its options here and prints what `tables` makes."""
