//! Who answers does not wait for who is silent, however many those are.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use simulation::{crowd, weeks};

/// A thousand destinations, each with four hosts that never answer: two minutes until one of them is given up. Whoever answers gets their
/// mail within half a minute, from the first one on, and what is waited for is bounded.
#[test]
fn a_thousand_silent_destinations_hold_up_nobody() {
    let crowd = crowd(1, 1_000, 10).unwrap();
    println!("{crowd:?}");
    assert_eq!(crowd.waited_secs.len(), 10);
    assert!(crowd.waited_secs.iter().all(|waited| *waited <= 30.0), "{crowd:?}");
    assert!(crowd.knocking_most <= 400 + 2 * 400, "{crowd:?}");
    assert_eq!(crowd.waiting, 2_000, "nobody's mail was lost or given up");
}

/// Three weeks of retries in a moment: the sender is told once that it is late, and at the end that it is given up.
#[test]
fn weeks_of_retries_end_in_a_report() {
    let told = weeks(1, 21).unwrap();
    println!("{told:?}");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].0 <= 24 && told[0].1 == "delayed", "{told:?}");
    assert!((21 * 24..=21 * 24 + 1).contains(&told[1].0) && told[1].1 == "failed", "{told:?}");
}
