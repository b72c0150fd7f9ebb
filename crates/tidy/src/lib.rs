//! The rules of the house, as tests: see `tests/`. There is nothing to call here.
