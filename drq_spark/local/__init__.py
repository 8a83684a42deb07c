"""What no cluster ever runs: Java, Delta's jars, and the settings of a session in this machine."""
