//! What a server does while nobody writes.

#![allow(clippy::unwrap_used)]

use simulation::quiet_days;

/// RFC 8461 §3.3: a kept policy is fetched anew each day, and no more once the domain was not written to for a month.
#[test]
fn a_policy_stays_fresh_without_mail() {
    assert_eq!(quiet_days(1, 3).unwrap(), Some(2));
    assert!(matches!(quiet_days(1, 34).unwrap(), Some(28..=30)));
}
