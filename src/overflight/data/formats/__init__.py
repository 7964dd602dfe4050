"""Label formats: one strict reader and one exact writer each."""
