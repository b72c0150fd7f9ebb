//! The way to a destination: MX hosts in order, their addresses, connection, STARTTLS as good as it gets (RFC 5321 §5, RFC 7435).
//!
//! Invariant: a permanent verdict only when every host gave one or DNS says so with authority; a smarthost's trouble is
//! never permanent, for it is our own configuration. Must not know: which message wants to go.

use super::endings::Ending;
use super::policy::{self, Guard};
use super::worker::Reached;
use super::{Outbound, linked, relay, tls_reports};
use crate::auth::sign_in::nonce;
use mta::queue::{Outcome, Verdict};
use mta::route::{self, Destination};
use mta::sts::Policy;
use net::{Connection, DnsError, MxAnswer, Next, TlsClient};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use wire::smtp::Client;
use wire::smtp::client::{Config, Event, Failure, Stage, StartTls};

/// Hosts tried for one destination.
const HOSTS_MAX: usize = 8;
/// Addresses tried of one host.
const ADDRESSES_MAX: usize = 4;
/// Messages over one connection.
const REUSE_MAX: u32 = 100;
/// For QUIT: who does not answer it by then is left.
const QUIT_LIMIT: Duration = Duration::from_secs(2);

/// A connection with a session on it that can take messages.
pub(super) struct Open {
    pub(super) connection: Connection,
    pub(super) client: Client,
    /// Who is there, for reports.
    pub(super) host: String,
    /// Messages sent over it.
    pub(super) sent: u32,
    /// The session said Ready and nothing was sent since.
    pub(super) ready: bool,
    /// It is in the clear because TLS broke, in the words of RFC 8460.
    pub(super) broke: Option<&'static str>,
    /// A message was ended on it, and what became of it is not written down yet.
    pub(super) ending: Option<Ending>,
    /// Counts among its lane's.
    pub(super) _reached: Option<Reached>,
}

impl Open {
    /// May another message go over it? A server may say after how many it has enough (LIMITS MAILMAX, RFC 9422 §4.1).
    pub(super) fn takes_more(&self) -> bool {
        let most = self.client.offers().keywords.messages_max.and_then(|most| u32::try_from(most).ok());
        self.sent < most.unwrap_or(REUSE_MAX).min(REUSE_MAX)
    }

    /// Says goodbye.
    pub(super) async fn quit(mut self) {
        // Nobody waits for the goodbye.
        self.ending = None;
        self.client.quit();
        let goodbye = async { while let Next::Event(_) = self.connection.next(&mut self.client).await {} };
        let _ = tokio::time::timeout(QUIT_LIMIT, goodbye).await;
    }
}

/// What was done to get there, for the trace: a line a step.
pub(super) type Story = Vec<String>;

/// A host that takes mail for a domain.
struct Host {
    name: String,
    /// DNSSEC proves that it does.
    secure: bool,
}

/// A connection to whoever takes mail for `destination`, or why there is none.
/// `lax`: whatever policies want, rather in the clear than not at all (`TLS-Required: No`, RFC 8689 §4.2.2).
pub(super) async fn open(outbound: &Outbound, destination: &str, lax: bool, story: &mut Story) -> Result<Open, Outcome> {
    if let Some(relay) = outbound.settings.relay_for(destination) {
        let way = if relay.lmtp { "by LMTP to" } else { "to the smarthost" };
        story.push(format!("mail for {destination} goes {way} {}", relay.name()));
        return relay::open(outbound, &relay).await;
    }
    if linked::is_linked(destination) {
        let text = "The account elsewhere that this was to be sent through is not linked any more";
        return Err(Outcome::failed((5, 4, 4), text));
    }
    let mut sts = None;
    let hosts = match route::read(destination) {
        Destination::Domain(domain) => {
            let hosts = mx_hosts(outbound, &domain, story).await?;
            if !outbound.settings.routes.contains_key(&domain) {
                sts = policy::sts(outbound, &domain).await?;
            }
            hosts
        }
        Destination::Literal(ip) => vec![Host { name: ip.to_string(), secure: false }],
        Destination::BadLiteral => {
            return Err(Outcome::failed((5, 1, 2), format!("{destination} is no address anybody can reach")));
        }
    };
    let mut verdict: Option<Outcome> = None;
    if let Some(sts) = &sts {
        story.push(format!("MTA-STS policy: {:?}, mx {}", sts.mode, sts.mx.join(", ")));
    }
    for host in hosts.iter().take(HOSTS_MAX) {
        match open_host(outbound, (destination, host), (sts.as_ref(), lax), story).await {
            Ok(open) => return Ok(open),
            Err(outcome) => {
                let host = &host.name;
                story.push(format!("{host}: {}", outcome.text));
                tracing::info!(%destination, %host, said = %outcome.reply_line(), "host passed over");
                if verdict.as_ref().is_none_or(|so_far| so_far.verdict == Verdict::Failed) {
                    verdict = Some(outcome);
                }
            }
        }
    }
    Err(verdict.unwrap_or_else(|| Outcome::deferred((4, 4, 4), "No host to try")))
}

async fn mx_hosts(outbound: &Outbound, domain: &str, story: &mut Story) -> Result<Vec<Host>, Outcome> {
    if outbound.settings.routes.contains_key(domain) {
        return Ok(vec![Host { name: domain.to_owned(), secure: false }]);
    }
    let answer = outbound.settings.resolver.mx_proven(domain).await;
    let secure = answer.as_ref().is_ok_and(|answer| answer.secure);
    let records = match answer.map(|answer| answer.value) {
        Ok(MxAnswer::Hosts(records)) => records,
        Ok(MxAnswer::Implicit) => vec![(0, domain.to_owned())],
        Ok(MxAnswer::Null) => return Err(Outcome::failed((5, 1, 10), format!("The domain {domain} takes no mail (null MX)"))),
        Err(error) => return Err(no_name(domain, &error)),
    };
    let told: Vec<String> = records.iter().map(|(preference, host)| format!("{preference} {host}")).collect();
    story.push(format!("MX of {domain}: {}{}", told.join(", "), if secure { " (proven by DNSSEC)" } else { "" }));
    let hosts = route::hosts(&records, &outbound.context.hostname);
    let hosts = hosts.map(|hosts| hosts.into_iter().map(|name| Host { name, secure }).collect());
    hosts.ok_or_else(|| {
        let text = format!(
            "Mail for {domain} is to go to {}, which is this server, and it does not serve that domain",
            outbound.context.hostname
        );
        Outcome::failed((5, 4, 6), text)
    })
}

fn no_name(name: &str, error: &DnsError) -> Outcome {
    match error {
        DnsError::NotFound => Outcome::failed((5, 1, 2), format!("The domain {name} does not exist")),
        DnsError::NoData => Outcome::failed((5, 4, 4), format!("The domain {name} has no mail server and no address")),
        DnsError::Temporary(why) => Outcome::deferred((4, 4, 3), format!("DNS gave no answer for {name}: {why}")),
    }
}

/// Its addresses, and whether DNSSEC proves them.
pub(super) async fn addresses(outbound: &Outbound, host: &str, port: u16) -> Result<(Vec<SocketAddr>, bool), Outcome> {
    if let Some(known) = outbound.settings.routes.get(host) {
        return Ok((vec![*known], false));
    }
    resolved(outbound, host, port).await
}

/// The same as DNS has them.
pub(super) async fn resolved(outbound: &Outbound, host: &str, port: u16) -> Result<(Vec<SocketAddr>, bool), Outcome> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok((vec![SocketAddr::new(ip, port)], false));
    }
    match outbound.settings.resolver.addresses_proven(host).await {
        Ok(found) => {
            let mut usable = Vec::new();
            for ip in found.value {
                let address = SocketAddr::new(ip, port);
                if usable.len() < ADDRESSES_MAX && policy::may_use(outbound, address).await {
                    usable.push(address);
                }
            }
            Ok((usable, found.secure))
        }
        // The MX is there but what it names is not: somebody's mistake, that may be mended.
        Err(error) => Err(Outcome::deferred((4, 4, 4), format!("No address for {host}: {error}"))),
    }
}

async fn open_host(
    outbound: &Outbound,
    (domain, host): (&str, &Host),
    (sts, lax): (Option<&Policy>, bool),
    story: &mut Story,
) -> Result<Open, Outcome> {
    let (name, mx_secure) = (host.name.as_str(), host.secure);
    let mut last = Outcome::deferred((4, 4, 4), format!("{name} has no address that may be used"));
    let (addresses, secure) = addresses(outbound, name, outbound.settings.port).await?;
    let secure = mx_secure && secure;
    let guard = match policy::guard(outbound, (domain, name), secure, sts).await {
        _ if lax => Guard::Opportunistic,
        Ok(guard) => guard,
        Err(outcome) => {
            outbound.sessions.no_way(outbound, (domain, name), secure, sts, &outcome).await;
            return Err(outcome);
        }
    };
    for address in addresses {
        let opened = match &guard {
            Guard::Opportunistic => open_opportunistic(outbound, name, address, false).await,
            Guard::Encrypted(_) => open_guarded(outbound, name, address, outbound.opportunistic.as_ref()).await,
            Guard::Dane(client, _) => open_guarded(outbound, name, address, Some(client)).await,
            Guard::Sts => open_guarded(outbound, name, address, outbound.verified.as_ref()).await,
        };
        let went = opened.as_ref().map(|open| (&open.connection, open.broke)).map_err(|trouble| trouble.tls);
        outbound.sessions.went(outbound, (domain, name, address), (&guard, sts), went).await;
        match opened {
            Ok(open) => {
                let tls = open
                    .connection
                    .tls_info()
                    .map_or_else(|| "no TLS".to_owned(), |tls| format!("{} {}", tls.version, tls.cipher));
                let again = if open.connection.is_resumed() { " resumed" } else { "" };
                let lax = if lax { " (TLS-Required: No)" } else { "" };
                story.push(format!("{name} [{}]:{}: {tls}{again}, {}{lax}", address.ip(), address.port(), guard.words()));
                return Ok(open);
            }
            Err(Trouble { outcome, .. }) => {
                story.push(format!("{name} [{}]:{}: {}", address.ip(), address.port(), outcome.text));
                last = outcome;
            }
        }
    }
    Err(last)
}

/// TLS is demanded, by a policy that says what certificate is good.
async fn open_guarded(outbound: &Outbound, host: &str, address: SocketAddr, tls: Option<&TlsClient>) -> Result<Open, Trouble> {
    let Some(tls) = tls else {
        return Err(Trouble { tls: None, outcome: Outcome::deferred((4, 7, 5), "TLS is not available") });
    };
    let connection = dial(outbound, host, address).await?;
    let begun = begin(connection, host, Some(tls), config(outbound, StartTls::Require)).await;
    begun.map_err(|mut trouble| {
        if trouble.tls.is_some() {
            let text = format!("{host} must be reached by TLS with a certificate that fits: {}", trouble.outcome.text);
            trouble.outcome = Outcome::deferred((4, 7, 5), text);
        }
        trouble
    })
}

/// STARTTLS when offered; when its handshake fails, once more in the clear on a fresh connection.
pub(super) async fn open_opportunistic(
    outbound: &Outbound,
    host: &str,
    address: SocketAddr,
    lmtp: bool,
) -> Result<Open, Trouble> {
    let config = |starttls| Config { lmtp, ..config(outbound, starttls) };
    let mut broke = None;
    if let Some(tls) = &outbound.opportunistic {
        let connection = dial(outbound, host, address).await?;
        match begin(connection, host, Some(tls), config(StartTls::IfOffered)).await {
            Err(Trouble { tls: Some(result), outcome }) => {
                tracing::info!(%host, %address, said = %outcome.text, "TLS failed, in the clear then");
                broke = Some(result);
            }
            other => return other,
        }
    }
    let connection = dial(outbound, host, address).await?;
    let open = begin(connection, host, None, config(StartTls::Never)).await?;
    Ok(Open { broke, ..open })
}

pub(super) async fn dial(outbound: &Outbound, host: &str, address: SocketAddr) -> Result<Connection, Outcome> {
    let settings = &outbound.settings;
    let dialled = Connection::dial_on(&settings.network, address, settings.source_for(address), settings.connect_limit).await;
    dialled.map_err(|error| Outcome::deferred((4, 4, 1), format!("No connection to {host} [{}]: {error}", address.ip())))
}

pub(super) fn config(outbound: &Outbound, starttls: StartTls) -> Config {
    Config {
        hostname: outbound.context.hostname.clone(),
        lmtp: false,
        tls: false,
        starttls,
        credentials: None,
        plaintext_auth: false,
        nonce: nonce().unwrap_or_default(),
    }
}

/// Why a conversation did not get to its first message.
pub(super) struct Trouble {
    /// It was TLS, and how RFC 8460 §4.3 calls it.
    pub(super) tls: Option<&'static str>,
    pub(super) outcome: Outcome,
}

impl From<Outcome> for Trouble {
    fn from(outcome: Outcome) -> Trouble {
        Trouble { tls: None, outcome }
    }
}

/// Greeting, EHLO, STARTTLS, AUTH.
pub(super) async fn begin(
    mut connection: Connection,
    host: &str,
    tls: Option<&TlsClient>,
    config: Config,
) -> Result<Open, Trouble> {
    if let Some(tls) = tls {
        connection.set_tls_client(tls.clone(), host);
    }
    let mut client = Client::new(config);
    loop {
        match connection.next(&mut client).await {
            Next::Event(Event::Ready) => {
                return Ok(Open {
                    connection,
                    client,
                    host: host.to_owned(),
                    sent: 0,
                    ready: true,
                    broke: None,
                    ending: None,
                    _reached: None,
                });
            }
            Next::Event(Event::Failed(failure)) => {
                return Err(Trouble { tls: is_tls(&failure), outcome: outcome(host, &failure) });
            }
            Next::Event(_) => {}
            Next::Closed => {
                // The handshake is the connection's affair: the session never hears how it failed.
                let said = connection.error().map_or_else(|| "closed".to_owned(), ToString::to_string);
                let outcome = Outcome::deferred((4, 4, 2), format!("The connection to {host} broke: {said}"));
                let trouble = connection.error().filter(|_| tls.is_some()).map(tls_reports::result_of);
                return Err(Trouble { tls: trouble, outcome });
            }
        }
    }
}

/// RFC 8460 §4.3.1: that there is no TLS at all, or that it does not begin.
fn is_tls(failure: &Failure) -> Option<&'static str> {
    match failure {
        Failure::TlsNotOffered | Failure::Refused(Stage::StartTls, _) => Some("starttls-not-supported"),
        Failure::BytesBeforeTls
        | Failure::TimedOut(Stage::StartTls)
        | Failure::Lost(Stage::StartTls)
        | Failure::Nonsense(Stage::StartTls) => Some("validation-failure"),
        _ => None,
    }
}

fn outcome(host: &str, failure: &Failure) -> Outcome {
    let deferred = |status, text: &str| Outcome::deferred(status, format!("{host}: {text}"));
    match failure {
        // Our sign-in and our wish for TLS are ours to mend; the message waits.
        Failure::Refused(stage @ (Stage::Auth | Stage::StartTls), reply) => deferred(
            (4, 7, 0),
            &format!("refused {} with {reply}", if *stage == Stage::Auth { "our sign-in" } else { "STARTTLS" }),
        ),
        Failure::Refused(_, reply) => {
            let enhanced = reply.enhanced.map(|code| (code.0, code.1, code.2));
            Outcome::of_reply(host, reply.code, enhanced, &reply.to_string(), false)
        }
        Failure::TlsNotOffered => deferred((4, 7, 4), "STARTTLS is required and not offered"),
        Failure::AuthNotOffered => deferred((4, 7, 4), "no way to sign in is offered that may be used"),
        Failure::Auth(why) => deferred((4, 7, 0), &why.to_string()),
        Failure::BytesBeforeTls => deferred((4, 7, 0), "something was injected before TLS began"),
        Failure::TimedOut(_) => deferred((4, 4, 2), "no answer in time"),
        Failure::Lost(_) => deferred((4, 4, 2), "the connection was lost"),
        Failure::Nonsense(_) => deferred((4, 5, 0), "what came is no SMTP"),
    }
}
