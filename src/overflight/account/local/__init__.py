"""The AWS account in a folder: real files, real processes, SQLite for state."""
