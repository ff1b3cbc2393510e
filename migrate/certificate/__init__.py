"""Certificates: a signed statement of what was migrated, which can be checked offline, and proofs for single rows of it.

CHECKSUM.md of the specification is their model; docs/how-to/certificate.md says for people what they prove, and what they do not.
"""
