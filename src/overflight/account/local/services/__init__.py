"""Answers to AWS operations, one module per group of operations."""
