"""Use cases: what a person wants done, in terms of surveys, runs, packages and endpoints."""
