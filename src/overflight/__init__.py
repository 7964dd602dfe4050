"""Overflight: drone photographs in, a governed object detector out.

Importing this package loads nothing heavy: no torch, no MLflow, no boto3. Import the module you need.
"""

__version__ = "0.1.0"
