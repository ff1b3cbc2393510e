"""Reports for people: pages of HTML that need nothing but themselves, and what pages and terminal show alike.

A page loads nothing, runs no script, and shows every text of the data as text.
"""
