"""The mapping language: read, check and compile a mapping file, and apply it to rows as DuckDB SQL over Arrow.

Pure apart from reading the files it is given: no database is opened here, no clock and no environment is looked at.
"""
