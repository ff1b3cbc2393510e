"""Shows what a run is doing: live on a terminal, line by line in a log. Listens to engine events, and changes nothing."""
