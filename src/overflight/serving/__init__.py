"""The server process of an endpoint and the predictor inside it."""
