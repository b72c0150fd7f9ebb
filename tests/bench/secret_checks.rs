//! Checks of what a peer says against a secret, counted by valgrind (`tests/bench/secret_checks.py`): a wrong one costs the same
//! wherever it differs from the right one. A module of the tests of each crate that has such checks.
//!
//! Run as an ordinary test it shows that the right one is taken and the wrong ones are not.

/// How often each is counted: the first times make ready what is kept.
const TIMES: usize = 4;

/// The only thing that is counted, by its name.
#[inline(never)]
fn counted_secret_check<S: ?Sized>(check: &dyn Fn(&S) -> bool, said: &S) -> bool {
    std::hint::black_box(check(std::hint::black_box(said)))
}

/// These octets with another one at the place.
pub(crate) fn other_at(right: &[u8], at: usize) -> Vec<u8> {
    right.iter().enumerate().map(|(place, octet)| if place == at { octet ^ 1 } else { *octet }).collect()
}

/// The right one, and two that differ from it in the first and in the last octet.
pub(crate) fn three(right: &[u8]) -> [Vec<u8>; 3] {
    [right.to_vec(), other_at(right, 0), other_at(right, right.len() - 1)]
}

/// The check takes the first and neither of the others, which are counted.
pub(crate) fn count<S: AsRef<[u8]>>(name: &str, [right, first, last]: &[S; 3], check: impl Fn(&[u8]) -> bool) {
    assert!(check(right.as_ref()), "{name}: the right one is taken");
    for _ in 0..TIMES {
        for (place, said) in [("first", first), ("last", last)] {
            assert!(!counted_secret_check(&check, said.as_ref()), "{name}: wrong in its {place} octet, and taken");
            println!("counted {name}: {place}");
        }
    }
}
