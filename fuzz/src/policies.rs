//! What others publish about their mail: MTA-STS policies and records, TLSA records.

use mta::sts::{Policy, record_id};

/// A policy that is understood is written so that it is understood the same, and is bounded.
pub(crate) fn sts_policy(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(policy) = Policy::parse(&text) {
        assert!(policy.mx.len() <= 64 && policy.max_age_secs >= 0);
        assert_eq!(Policy::parse(&policy.render()), Ok(policy.clone()), "{policy:?}");
        let _ = policy.admits("mx.example.org");
    }
    let texts: Vec<String> = text.lines().map(str::to_owned).collect();
    if let Some(id) = record_id(&texts) {
        assert!(!id.is_empty() && id.len() <= 32 && id.bytes().all(|octet| octet.is_ascii_alphanumeric()));
    }
}

/// The first three octets and so many more are a record, the rest is a certificate held against it.
pub(crate) fn tlsa(data: &[u8]) {
    net::fuzzing::tlsa(data);
}
