"""The ledger: tables in the target database that record what was done, who may do it, and how to take it back."""
