"""What a survey holds, in tables and figures: one pass over photographs and labels."""
