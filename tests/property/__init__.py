"""Property tests: rules that hold for any data."""
