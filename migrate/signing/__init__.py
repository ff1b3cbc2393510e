"""Ed25519 keys, signed notes, and the one JSON text of a document: what signatures are made over and checked with."""
