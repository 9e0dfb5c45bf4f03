# tests/: see docs/TESTING.md
