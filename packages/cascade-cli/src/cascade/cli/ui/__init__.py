"""`cascade ui`: a local page over a store. It reads metadata alone, and changes nothing."""
