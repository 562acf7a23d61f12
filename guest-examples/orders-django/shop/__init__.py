"""The application of the models."""
