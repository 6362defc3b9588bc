"""The shapes of classes: which fields an instance has, and how one is made again."""
