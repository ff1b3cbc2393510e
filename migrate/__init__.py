"""Move an invoice system to a new database and prove that nothing was lost."""

__version__ = "0.1.0"
