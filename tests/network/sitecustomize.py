"""Python loads this at its start where its folder is on PYTHONPATH, as it is for tests."""

import other_hosts

other_hosts.refuse()
