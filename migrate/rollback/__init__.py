"""Takes back what a run wrote, newest batch first, by the undo records that each batch left; never a row that somebody changed since."""
