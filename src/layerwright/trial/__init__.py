"""One case, constructed, fed, called and compared on this process's backend. All that a check gets to see."""
