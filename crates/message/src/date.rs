//! Dates of RFC 5322 §3.3 and IMAP: civil time from seconds since 1970 and back, no clock.
