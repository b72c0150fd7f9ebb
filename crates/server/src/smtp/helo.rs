//! What a stranger calls itself (RFC 5321 §2.3.5, §4.1.3, §4.1.4), where the configuration has a rule for it.
//!
//! Invariant: no answer of DNS is never a refusal. Must not know: the session.

use crate::context::Context;
use crate::trust::Helo;
use mta::Refusal;
use net::DnsError;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::timeout;

/// DNS has so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What is wrong with the name, if anything.
pub(super) async fn problem(context: &Context, peer: IpAddr, helo: &str) -> Option<Refusal> {
    let name = helo.trim_end_matches('.');
    let refused = |text: String| Some(Refusal::new(550, (5, 7, 1), text));
    match context.trust.policy.helo {
        Helo::Off => None,
        _ if name.eq_ignore_ascii_case(&context.hostname) => {
            refused(format!("You are not {}: that is this server", context.hostname))
        }
        Helo::Forged => None,
        Helo::Strict => match literal(name) {
            Some(ip) if ip == Some(peer.to_canonical()) => None,
            Some(_) => refused(format!("{name} is not your address, which is {peer}")),
            None if !name.contains('.') => refused(format!("A full name is wanted in EHLO, and {name:?} is none")),
            None if is_unknown(context, name).await => refused(format!("There is no host {name}, as you call yourself in EHLO")),
            None => None,
        },
    }
}

/// An address in brackets; `Some(None)` is one that cannot be read.
fn literal(name: &str) -> Option<Option<IpAddr>> {
    let inside = name.strip_prefix('[')?.strip_suffix(']')?;
    Some(match inside.split_at_checked(5) {
        Some((prefix, six)) if prefix.eq_ignore_ascii_case("IPv6:") => six.parse().ok().map(IpAddr::V6),
        _ => inside.parse().ok(),
    })
}

/// DNS says for certain that there is neither an address nor a mail server of that name.
async fn is_unknown(context: &Context, name: &str) -> bool {
    let Some(resolver) = &context.trust.resolver else { return false };
    let asked = timeout(ANSWER_WITHIN, async {
        matches!(resolver.addresses(name).await, Err(DnsError::NotFound | DnsError::NoData))
            && matches!(resolver.mx_records(name).await, Err(DnsError::NotFound | DnsError::NoData))
    });
    asked.await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_brackets() {
        assert_eq!(literal("[192.0.2.1]"), Some("192.0.2.1".parse().ok()));
        assert_eq!(literal("[ipv6:2001:db8::1]"), Some("2001:db8::1".parse().ok()));
        assert_eq!(literal("[here]"), Some(None));
        assert_eq!(literal("192.0.2.1"), None);
    }
}
