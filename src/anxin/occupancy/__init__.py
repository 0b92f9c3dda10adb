"""What each charger does: statuses to intervals, colours, roll-ups, uptime. Pure: no clock, no file, no database."""
