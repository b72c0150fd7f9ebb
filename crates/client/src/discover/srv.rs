//! In which order the servers of SRV records are tried (RFC 2782): priorities ascending, within one by lot as the weights say.
//!
//! Must not know: DNS, where chance comes from.

/// (priority, weight, port, host)
pub(super) type Record = (u16, u16, u16, String);

/// `chance(n)` is any number from 0 to `n`, each as likely as another.
pub(super) fn drawn(mut records: Vec<Record>, mut chance: impl FnMut(u32) -> u32) -> Vec<Record> {
    // Those of weight 0 first: they are drawn too, if seldom.
    records.sort_by_key(|(priority, weight, ..)| (*priority, *weight > 0));
    let mut out = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|record| record.0) {
        let same = records.iter().take_while(|record| record.0 == priority);
        let sum: u32 = same.clone().map(|record| u32::from(record.1)).fold(0, u32::saturating_add);
        let lot = chance(sum);
        let mut running = 0_u32;
        let reaches = |record: &Record| {
            running = running.saturating_add(u32::from(record.1));
            running >= lot
        };
        let at = same.clone().map(reaches).position(|reached| reached).unwrap_or(0);
        out.push(records.remove(at));
    }
    out
}

/// The system's.
pub(super) fn chance(most: u32) -> u32 {
    let mut octets = [0; 8];
    // Without chance the first is as good as any.
    let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut octets);
    // Of 2^64 numbers 2^32 groups: what the rest is off by nobody will see.
    (u64::from_be_bytes(octets) % (u64::from(most) + 1)) as u32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use std::collections::BTreeMap;

    fn record(priority: u16, weight: u16, host: &str) -> Record {
        (priority, weight, 993, host.into())
    }

    fn hosts(records: &[Record]) -> Vec<&str> {
        records.iter().map(|record| record.3.as_str()).collect()
    }

    #[test]
    fn the_lot_falls_on_whose_running_sum_reaches_it() {
        let all = || vec![record(20, 9, "later"), record(10, 60, "a"), record(10, 0, "never mind"), record(10, 40, "b")];
        let with = |lots: &[u32]| {
            let mut lots = lots.iter().copied();
            let mut sums = Vec::new();
            let order = drawn(all(), |sum| {
                sums.push(sum);
                lots.next().unwrap()
            });
            (hosts(&order).join(" "), sums)
        };
        // The sums are of what is left of a priority: all three, then without the one that was drawn.
        assert_eq!(with(&[0, 0, 0, 0]).0, "never mind a b later");
        assert_eq!(with(&[1, 40, 0, 5]), ("a b never mind later".into(), vec![100, 40, 0, 9]));
        assert_eq!(with(&[60, 0, 40, 5]), ("a never mind b later".into(), vec![100, 40, 40, 9]));
        assert_eq!(with(&[61, 60, 0, 5]), ("b a never mind later".into(), vec![100, 60, 0, 9]));
        assert_eq!(with(&[100, 0, 60, 9]), ("b never mind a later".into(), vec![100, 60, 60, 9]));
    }

    #[test]
    fn by_every_lot_each_comes_first_as_often_as_its_weight_says() {
        let mut first: BTreeMap<String, u32> = BTreeMap::new();
        for lot in 0..=100 {
            let order = drawn(vec![record(1, 0, "none"), record(1, 30, "less"), record(1, 70, "more")], |sum| lot.min(sum));
            *first.entry(order[0].3.clone()).or_default() += 1;
        }
        assert_eq!(first, BTreeMap::from([("none".into(), 1), ("less".into(), 30), ("more".into(), 70)]));
    }

    #[test]
    fn chance_has_its_bounds_and_extremes_do_no_harm() {
        assert!((0..1000).all(|_| chance(3) <= 3) && chance(0) == 0);
        assert!((0..=3).all(|wanted| (0..1000).any(|_| chance(3) == wanted)));
        let many = vec![record(0, u16::MAX, "x"); 70_000];
        assert_eq!(drawn(many.into_iter().take(300).collect(), |sum| sum).len(), 300);
        assert!(drawn(Vec::new(), |_| 0).is_empty());
    }
}
