"""The command line: reads arguments, shows results, decides nothing."""
