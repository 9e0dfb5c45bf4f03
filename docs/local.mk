# docs/: shipped texts.
