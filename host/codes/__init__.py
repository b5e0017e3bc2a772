"""From numbers to beats: scaling, rounding, weaving, and packed sets on disk."""
