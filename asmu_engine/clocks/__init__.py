"""What the clocks say of the frame axis: fits that hold against late blocks, steps of UTC and lost frames. Pure Python."""
