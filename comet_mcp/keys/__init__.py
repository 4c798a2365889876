"""What takes more than one call of the API: making a key exactly once, changing, replacing and checking one."""
