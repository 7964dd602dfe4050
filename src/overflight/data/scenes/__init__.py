"""Synthetic surveys: drone flights over procedural sites, with exact labels and camera metadata."""
