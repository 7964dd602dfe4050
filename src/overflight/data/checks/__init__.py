"""Checks of surveys: what is wrong with photographs, labels, flights and splits, how bad it is, and what cures it."""
