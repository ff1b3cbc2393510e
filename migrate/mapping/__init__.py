"""The mapping language: read, check and compile a mapping file, and apply it to rows as DuckDB SQL over Arrow.

Pure apart from reading the files it is given: no database is opened here, no clock and no environment is looked at.
"""

from migrate.mapping.checking import check_mapping
from migrate.mapping.compile import compile_mapping
from migrate.mapping.findings import Finding, MappingErrors
from migrate.mapping.lookups import check_lookup, load_file_lookup, lookup_path
from migrate.mapping.model import Mapping
from migrate.mapping.program import Conflict, Program, ProgramLookup, ProgramTarget
from migrate.mapping.reader import read_mapping
from migrate.mapping.transformer import Mapped, Transformer

__all__ = [
    "Conflict",
    "Finding",
    "Mapped",
    "Mapping",
    "MappingErrors",
    "Program",
    "ProgramLookup",
    "ProgramTarget",
    "Transformer",
    "check_lookup",
    "check_mapping",
    "compile_mapping",
    "load_file_lookup",
    "lookup_path",
    "read_mapping",
]
