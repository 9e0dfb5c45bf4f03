# contrib/: units, init scripts, sample configuration.
