//! Atoms, astrings, quoted strings, literals and nstrings (RFC 9051 §4, §9).
