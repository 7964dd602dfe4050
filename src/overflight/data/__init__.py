"""Surveys: photographs of flights with labels and camera metadata."""
