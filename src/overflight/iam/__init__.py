"""IAM policies: what they mean, and what is wrong with them. Pure functions; knows no account and no AWS client."""
