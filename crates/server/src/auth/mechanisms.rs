//! Which mechanisms are offered where: one ordered list of the configuration, cut for each listener (lessons C22).
//!
//! Must not know: what TLS or a token server make possible at the moment; `wire` and [`super::Auth`] leave those out.

use std::str::FromStr;
use wire::sasl::Mechanism;

/// Listeners with sign-in, as they are spelled under `[listen]`.
pub const LISTENERS: [&str; 6] = ["submission", "submissions", "imap", "imaps", "pop3", "pop3s"];

/// `NAME` or `NAME on LISTENER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MechanismOffer {
    mechanism: Mechanism,
    listener: Option<String>,
}

impl FromStr for MechanismOffer {
    type Err = String;
    fn from_str(text: &str) -> Result<MechanismOffer, String> {
        let (name, listener) = match text.split_once(" on ") {
            Some((name, listener)) => (name, Some(listener.trim())),
            None => (text, None),
        };
        let known = || Mechanism::ALL.map(Mechanism::name).join(", ");
        let mechanism =
            Mechanism::parse(name.trim()).ok_or_else(|| format!("`{name}` is no mechanism; there are {}", known()))?;
        if let Some(listener) = listener
            && !LISTENERS.contains(&listener)
        {
            return Err(format!("`{listener}` is no listener with sign-in; there are {}", LISTENERS.join(", ")));
        }
        Ok(MechanismOffer { mechanism, listener: listener.map(str::to_owned) })
    }
}

/// Every mechanism everywhere, but SCRAM-SHA-256-PLUS: programs that take it and cannot bind (neomutt with GNU SASL under
/// TLS 1.3, for one) could not sign in at all.
pub fn usual() -> Vec<MechanismOffer> {
    let usual = Mechanism::ALL.into_iter().filter(|mechanism| *mechanism != Mechanism::ScramSha256Plus);
    usual.map(|mechanism| MechanismOffer { mechanism, listener: None }).collect()
}

/// Those of a listener in their order; tokens only where somebody can check them.
pub(crate) fn on_listener(list: &[MechanismOffer], listener: &str, tokens: bool) -> Vec<Mechanism> {
    let here = |offer: &&MechanismOffer| offer.listener.as_deref().is_none_or(|name| name == listener);
    let possible = |mechanism: &Mechanism| tokens || !matches!(mechanism, Mechanism::OAuthBearer | Mechanism::XOAuth2);
    let mut found: Vec<Mechanism> = Vec::new();
    for mechanism in list.iter().filter(here).map(|offer| offer.mechanism).filter(possible) {
        if !found.contains(&mechanism) {
            found.push(mechanism);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use wire::sasl::{self, Channel};

    #[test]
    fn one_list_for_all_listeners() {
        let list: Vec<MechanismOffer> = ["plain", "SCRAM-SHA-256-PLUS on imaps", "SCRAM-SHA-256", "XOAUTH2", "PLAIN on imaps"]
            .map(|text| text.parse().unwrap())
            .to_vec();
        let names = |listener, tokens| {
            on_listener(&list, listener, tokens).into_iter().map(Mechanism::name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names("imaps", true), "PLAIN SCRAM-SHA-256-PLUS SCRAM-SHA-256 XOAUTH2");
        assert_eq!(names("submission", false), "PLAIN SCRAM-SHA-256");
        assert_eq!(on_listener(&usual(), "pop3", true), Mechanism::ALL[1..]);
        for bad in ["CRAM-MD5", "PLAIN on smtp", "PLAIN on", ""] {
            assert!(bad.parse::<MechanismOffer>().is_err(), "{bad}");
        }
    }
    /// Lessons C22 (mutt with GNU SASL): it chooses -PLUS where it sees it, and cannot bind. So it sees it only where it was listed, and
    /// there too only on a connection that has a channel to bind to.
    #[test]
    fn c22_plus_is_offered_only_where_it_is_listed_and_can_be_bound() {
        let channel = Channel { exporter: Some([7; 32]), server_end_point: None, external: false };
        let offered = |list: &[MechanismOffer], listener, channel| {
            let here = on_listener(list, listener, false);
            sasl::usable(&here, true, channel).any(|mechanism| mechanism == Mechanism::ScramSha256Plus)
        };
        let listed: Vec<MechanismOffer> = ["SCRAM-SHA-256-PLUS on imaps", "PLAIN"].map(|text| text.parse().unwrap()).to_vec();
        assert!(!offered(&usual(), "imaps", Some(&channel)));
        assert!(offered(&listed, "imaps", Some(&channel)));
        assert!(!offered(&listed, "imap", Some(&channel)) && !offered(&listed, "imaps", None));
    }
}
