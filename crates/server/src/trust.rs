//! What the server knows and wants about trust: whom to ask, what to do about the answers, with which keys to sign.
//!
//! Made once at the top, but for the keys, which are read again when they change.
//! Invariant: without a resolver nothing is asked and nothing judged. Must not know: grammar, replies.

pub mod counts;
pub mod greylist;
pub mod keys;
pub mod reports;

use net::{DnsError, Resolver};
use ring::rand::{SecureRandom, SystemRandom};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use trust::dns::Answer;
use trust::srs::Srs;

/// What is done with mail whose author's domain asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dmarc {
    /// `p=reject` is refused, `p=quarantine` goes to the mailbox for junk.
    #[default]
    Enforce,
    /// The verdict is written down, nothing else.
    Mark,
}

/// What is done when DNS does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TempErrors {
    /// Taken, with the verdict written down.
    #[default]
    Accept,
    /// 451: the peer comes again.
    Defer,
}

/// What a stranger's name in EHLO or HELO must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Helo {
    /// Anything.
    Off,
    /// Not the name of this server.
    #[default]
    Forged,
    /// A full name that is in DNS, or the stranger's own address in brackets.
    Strict,
}

/// The rules for mail that comes from elsewhere; each is an option under `[inbound]`.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// See [`Dmarc`].
    pub dmarc: Dmarc,
    /// See [`TempErrors`].
    pub temp_errors: TempErrors,
    /// An SPF `fail` alone is refused at RCPT.
    pub spf_refuse: bool,
    /// Lists whose entries are refused at RCPT.
    pub dnsbl: Vec<String>,
    /// Lists whose entries are never put off.
    pub dnswl: Vec<String>,
    /// Strangers are asked to come again.
    pub greylist: bool,
    /// Domains whose ARC seals are believed when DMARC fails.
    pub trusted_sealers: Vec<String>,
    /// Forwarded mail gets an ARC seal.
    pub arc_seal: bool,
    /// Unproxied loopback peers are judged like anybody else.
    pub loopback: bool,
    /// Aggregate reports about strangers' mail are made and sent.
    pub reports: bool,
    /// See [`Helo`].
    pub helo: Helo,
    /// Strangers get the greeting so late; who speaks before is sent away. 0: at once.
    pub greeting_delay_secs: u32,
    /// From the fourth recipient of a stranger that is refused on, each answer comes so late. 0: at once.
    pub slow_answer_secs: u32,
    /// Messages a stranger's network may bring in an hour; 0 is unlimited.
    pub messages_per_hour: u32,
    /// Connections a stranger's network may make in a minute; 0 is unlimited.
    pub connections_per_minute: u32,
    /// Kinds of solicitation that are not wanted (RFC 3865).
    pub no_soliciting: Vec<String>,
}

/// See the module.
#[derive(Default)]
pub struct Settings {
    /// Who is asked; nobody: nothing is judged.
    pub resolver: Option<Resolver>,
    /// See [`Policy`].
    pub policy: Policy,
    /// Keys that sign.
    pub keys: keys::Keys,
    /// Who was asked to come again.
    pub greylist: greylist::Greylist,
    /// What our reports will say.
    pub counts: counts::Counts,
    /// Reads those of others.
    pub reader: reports::Reader,
    /// Rewrites and leads back; `None`: mail is forwarded with the reverse-path it came with.
    pub srs: Option<Srs>,
}

impl Settings {
    /// The DKIM-Signature fields for a message that somebody of one of these domains wrote; empty without a key.
    pub(crate) fn sign(&self, domains: &[String], message: &[u8], now_secs: i64) -> String {
        if self.keys.is_empty() {
            return String::new();
        }
        mta::submit::sign(message, now_secs, |author| {
            if is_ours(domains, author) { self.keys.signers(author, now_secs) } else { Vec::new() }
        })
    }

    /// Signed again, in place of what we signed before it was changed.
    pub(crate) fn sign_again(&self, domains: &[String], message: &[u8], now_secs: i64) -> Vec<u8> {
        let bare = mta::submit::unsigned(message, |domain| is_ours(domains, domain));
        let mut signed = self.sign(domains, &bare, now_secs).into_bytes();
        signed.extend_from_slice(&bare);
        signed
    }
}

fn is_ours(domains: &[String], name: &str) -> bool {
    domains.iter().any(|own| trust::spf::is_under(name, own))
}

/// All answers of one judgement come within this, or count as temporary errors.
pub(crate) const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// The resolver as `trust` sees it.
pub struct Ask<'r>(pub &'r Resolver);

fn why(error: DnsError) -> trust::DnsError {
    match error {
        DnsError::NotFound => trust::DnsError::NotFound,
        DnsError::NoData => trust::DnsError::NoData,
        DnsError::Temporary(why) => trust::DnsError::Temporary(why),
    }
}

impl trust::Dns for Ask<'_> {
    fn txt<'a>(&'a self, name: &'a str) -> Answer<'a, String> {
        Box::pin(async move { self.0.txt(name).await.map_err(why) })
    }
    fn ipv4<'a>(&'a self, name: &'a str) -> Answer<'a, Ipv4Addr> {
        Box::pin(async move { self.0.ipv4(name).await.map_err(why) })
    }
    fn ipv6<'a>(&'a self, name: &'a str) -> Answer<'a, Ipv6Addr> {
        Box::pin(async move { self.0.ipv6(name).await.map_err(why) })
    }
    fn mx<'a>(&'a self, name: &'a str) -> Answer<'a, (u16, String)> {
        Box::pin(async move { self.0.mx_records(name).await.map_err(why) })
    }
    fn ptr(&self, ip: IpAddr) -> Answer<'_, String> {
        Box::pin(async move { self.0.ptr(ip).await.map_err(why) })
    }
}

/// The secret of this server for rewriting reverse-paths, made the first time.
pub async fn srs(store: &store::Store) -> Result<Srs, store::StoreError> {
    const NAME: &str = "srs";
    if let Some(secret) = store.trust_row(store::TrustKind::Secret, NAME).await? {
        return Ok(Srs::new(&secret));
    }
    let secret = random().ok_or_else(|| store::StoreError::Io("no randomness".to_owned()))?;
    store.trust_set(store::TrustKind::Secret, vec![(NAME.to_owned(), Some(secret.to_vec()))]).await?;
    Ok(Srs::new(&secret))
}

fn random() -> Option<[u8; 32]> {
    let mut octets = [0; 32];
    SystemRandom::new().fill(&mut octets).ok()?;
    Some(octets)
}
