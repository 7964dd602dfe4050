"""Pipelines as data: SageMaker definitions, built and checked without calling anything."""
