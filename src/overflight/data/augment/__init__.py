"""Changed copies of training tiles: what a drone could have seen, with boxes that still fit."""
