//! What must be true of a host before mail goes to it: DANE (RFC 7672), MTA-STS (RFC 8461), or as good as it gets (RFC 7435);
//! and whether our own IPv6 address may be shown to anybody.
//!
//! Invariant: where DNSSEC proves that there are TLSA records, nothing goes without TLS, and an answer that nobody could
//! prove or disprove is a reason to wait, never to go on without; so is a kept policy that cannot be read. DANE beats MTA-STS.
//! Must not know: messages.

use super::Outbound;
use crate::context::unix_now;
use mta::queue::Outcome;
use mta::sts::{self, Age, Mode, Policy, record_id};
use net::{TlsClient, Tlsa};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use store::{KeptPolicy, StoreError, UnixSecs};

/// A domain's TXT record is asked for again after this.
const LOOK_AGAIN_SECS: i64 = 600;
/// Domains and addresses remembered.
const REMEMBERED_MAX: usize = 10_000;
/// For fetching a policy (RFC 8461 §3.3: a minute).
const FETCH_LIMIT: Duration = Duration::from_secs(60);
/// Addresses of a policy host tried.
const FETCH_ADDRESSES_MAX: usize = 2;
/// Whether an address of ours has a name is asked again after this.
const NAME_AGAIN_SECS: i64 = 3600;

/// How the way to a host is to be protected.
pub(super) enum Guard {
    /// TLS if there is any, and any certificate.
    Opportunistic,
    /// TLS, any certificate: there are TLSA records, but none of use (RFC 7672 §2.2).
    Encrypted(Vec<Tlsa>),
    /// TLS with a certificate that fits the TLSA records.
    Dane(TlsClient, Vec<Tlsa>),
    /// TLS with a certificate of that name (RFC 8461 §4.2).
    Sts,
}

impl Guard {
    /// For people.
    pub(super) fn words(&self) -> &'static str {
        match self {
            Guard::Opportunistic => "opportunistic",
            Guard::Encrypted(_) => "TLS required (TLSA records without use)",
            Guard::Dane(..) => "DANE",
            Guard::Sts => "MTA-STS",
        }
    }
}

/// What was found out and is asked again only after a while.
#[derive(Default)]
pub(super) struct Policies {
    sts: Mutex<HashMap<String, (UnixSecs, Option<Policy>)>>,
    /// Who writes a kept policy anew from what it was.
    keeping: tokio::sync::Mutex<()>,
    named: Mutex<HashMap<IpAddr, (UnixSecs, bool)>>,
}

/// How this host of a domain is to be reached, or why it must not be. `secure`: DNSSEC proves that it is a host of the
/// domain, and its addresses.
pub(super) async fn guard(
    outbound: &Outbound,
    (domain, host): (&str, &str),
    secure: bool,
    sts: Option<&Policy>,
) -> Result<Guard, Outcome> {
    if secure {
        let records =
            outbound.settings.resolver.tlsa(host, outbound.settings.port).await.map_err(|error| {
                Outcome::deferred((4, 7, 5), format!("Whether {host} has TLSA records is not known: {error}"))
            })?;
        if records.iter().any(Tlsa::is_usable) {
            let names = [host.to_owned(), domain.to_owned()];
            let made = TlsClient::dane(&records, &names);
            return made
                .map(|client| Guard::Dane(client, records))
                .map_err(|error| Outcome::deferred((4, 7, 5), format!("TLS for {host}: {error}")));
        }
        if !records.is_empty() {
            return Ok(Guard::Encrypted(records));
        }
    }
    match sts.filter(|policy| policy.mode == Mode::Enforce) {
        None => Ok(Guard::Opportunistic),
        Some(policy) if policy.admits(host) => Ok(Guard::Sts),
        Some(_) => Err(Outcome::deferred((4, 7, 5), format!("The MTA-STS policy of {domain} does not name {host}"))),
    }
}

/// The MTA-STS policy of a domain, if it has one: kept, or fetched now. A deferral when whether one is kept cannot be read:
/// not to know is no reason to go on without.
pub(super) async fn sts(outbound: &Outbound, domain: &str) -> Result<Option<Policy>, Outcome> {
    let Some(port) = outbound.settings.sts_port else { return Ok(None) };
    let now_secs = unix_now();
    let known = outbound.policies.sts.lock().unwrap_or_else(PoisonError::into_inner).get(domain).cloned();
    if let Some((_, policy)) = known.filter(|(at, _)| at.saturating_add(LOOK_AGAIN_SECS) > now_secs) {
        return Ok(policy);
    }
    let policy = find(outbound, domain, port, now_secs).await.map_err(|error| {
        tracing::warn!(?error, domain, "a kept MTA-STS policy cannot be read");
        Outcome::deferred((4, 3, 0), format!("Whether {domain} has an MTA-STS policy cannot be read here"))
    })?;
    let mut remembered = outbound.policies.sts.lock().unwrap_or_else(PoisonError::into_inner);
    if remembered.len() >= REMEMBERED_MAX {
        remembered.clear();
    }
    remembered.insert(domain.to_owned(), (now_secs, policy.clone()));
    Ok(policy)
}

/// Neither when it was fetched nor when it was used goes back.
async fn keep(outbound: &Outbound, domain: &str, mut kept: KeptPolicy) {
    let _turn = outbound.policies.keeping.lock().await;
    if let Ok(Some(before)) = outbound.context.store.policy(domain).await {
        kept.used_secs = kept.used_secs.max(before.used_secs);
        if before.fetched_secs > kept.fetched_secs {
            kept = KeptPolicy { used_secs: kept.used_secs, ..before };
        }
    }
    if let Err(error) = outbound.context.store.keep_policy(domain, &kept).await {
        tracing::warn!(?error, domain, "an MTA-STS policy is not kept");
    }
}

async fn find(outbound: &Outbound, domain: &str, port: u16, now_secs: UnixSecs) -> Result<Option<Policy>, StoreError> {
    let store = &outbound.context.store;
    let kept_before = store.policy(domain).await;
    let lasting = match &kept_before {
        Ok(kept) => Ok(kept.as_ref().and_then(|kept| sts::lasting(kept, now_secs))),
        // One that is fetched takes its place; as long as none is, nobody knows what to keep to.
        Err(error @ StoreError::Damaged(_)) => Err(error.clone()),
        Err(error) => return Err(error.clone()),
    };
    if let Some(kept) = kept_before.as_ref().ok().and_then(Option::as_ref).filter(|kept| sts::is_news(kept, now_secs)) {
        keep(outbound, domain, KeptPolicy { used_secs: now_secs, ..kept.clone() }).await;
    }
    // RFC 8461 §3.1: without a record a policy that is kept still stands until it ends.
    let Ok(texts) = outbound.settings.resolver.txt(&format!("_mta-sts.{domain}")).await else { return lasting };
    let Some(id) = record_id(&texts) else { return lasting };
    let used = |kept| KeptPolicy { used_secs: now_secs, ..kept };
    let is_new = |kept: KeptPolicy| kept.id == id && matches!(sts::age(&used(kept), now_secs), Age::Until(_));
    if kept_before.ok().flatten().is_some_and(is_new) {
        return lasting;
    }
    match fetch(outbound, domain, port).await {
        Ok((text, policy)) => {
            keep(outbound, domain, KeptPolicy { id, fetched_secs: now_secs, used_secs: now_secs, text }).await;
            Ok(Some(policy))
        }
        Err(why) => {
            tracing::info!(domain, why, "an MTA-STS policy could not be fetched");
            outbound.sessions.no_policy(outbound, domain, &why).await;
            // Another worker may have had it meanwhile.
            Ok(store.policy(domain).await?.and_then(|kept| sts::lasting(&kept, now_secs)))
        }
    }
}

/// A kept policy of a domain that mail is sent to is fetched anew; it stays as it is when that fails.
pub(super) async fn renew(outbound: &Outbound, (domain, port): (&str, u16), kept: &KeptPolicy, now_secs: UnixSecs) -> bool {
    let texts = outbound.settings.resolver.txt(&format!("_mta-sts.{domain}")).await;
    let Some(id) = texts.ok().and_then(|texts| record_id(&texts)) else { return false };
    match fetch(outbound, domain, port).await {
        Ok((text, _)) => {
            keep(outbound, domain, KeptPolicy { id, fetched_secs: now_secs, used_secs: kept.used_secs, text }).await;
            // The next delivery reads it, and writes down that it did.
            outbound.policies.sts.lock().unwrap_or_else(PoisonError::into_inner).remove(domain);
            true
        }
        Err(why) => {
            tracing::info!(domain, why, "an MTA-STS policy could not be fetched anew");
            false
        }
    }
}

/// RFC 8460 §4.3.2.2: what is wrong with the policy itself begins with `sts-policy-invalid`.
async fn fetch(outbound: &Outbound, domain: &str, port: u16) -> Result<(String, Policy), String> {
    let tls = outbound.verified.as_ref().ok_or("TLS is not available")?;
    let host = format!("mta-sts.{domain}");
    let addresses = outbound.settings.resolver.addresses(&host).await.map_err(|error| error.to_string())?;
    let mut last = String::from("it has no address");
    for ip in addresses.into_iter().take(FETCH_ADDRESSES_MAX) {
        let what = (host.as_str(), "/.well-known/mta-sts.txt");
        let got = net::https::get(&outbound.settings.network, SocketAddr::new(ip, port), what, tls, ("text/plain", FETCH_LIMIT));
        match got.await {
            Ok(octets) => {
                let text = String::from_utf8(octets).map_err(|_| format!("{}: it is no text", super::tls_reports::INVALID))?;
                let policy = Policy::parse(&text).map_err(|why| format!("{}: {why}", super::tls_reports::INVALID))?;
                return Ok((text, policy));
            }
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}

/// Large receivers refuse IPv6 peers whose address has no name: then IPv4 it is. Loopback and private ways are not asked.
pub(super) async fn may_use(outbound: &Outbound, to: SocketAddr) -> bool {
    let IpAddr::V6(target) = to.ip() else { return true };
    if target.is_loopback() || target.is_unique_local() || target.is_unicast_link_local() {
        return true;
    }
    if outbound.settings.nameless_ipv6 {
        return true;
    }
    let source = outbound.settings.source_for(to).or_else(|| outbound.settings.network.source_for(to));
    let Some(source) = source else { return true };
    let now_secs = unix_now();
    let known = outbound.policies.named.lock().unwrap_or_else(PoisonError::into_inner).get(&source).copied();
    if let Some((_, named)) = known.filter(|(at, _)| at.saturating_add(NAME_AGAIN_SECS) > now_secs) {
        return named;
    }
    let named = outbound.settings.resolver.ptr(source).await.is_ok_and(|names| !names.is_empty());
    if !named {
        tracing::warn!(%source, "our IPv6 address has no name in DNS (PTR): mail goes by IPv4");
    }
    let mut remembered = outbound.policies.named.lock().unwrap_or_else(PoisonError::into_inner);
    if remembered.len() >= REMEMBERED_MAX {
        remembered.clear();
    }
    remembered.insert(source, (now_secs, named));
    named
}
