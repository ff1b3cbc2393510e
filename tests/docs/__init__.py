"""Tests that run what the documents show and compare generated documents with their generators."""
