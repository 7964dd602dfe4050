"""Experiment tracking; the only package that knows MLflow."""
