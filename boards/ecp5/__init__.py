"""What the open tools leave undone for ECP5: packing before placement, timing after it."""
