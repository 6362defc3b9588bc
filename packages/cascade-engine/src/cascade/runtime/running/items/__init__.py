"""The items of a map, made by their index in the way that suits them."""
