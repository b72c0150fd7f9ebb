//! One client's sign-in, as every face does it: the session's question in, its answer and the account out.
//!
//! A face keeps one [`SignIn`] a connection and hands it each `wire::sasl::Question`. Invariant: the account comes out
//! only together with `Answer::Accept`.

use super::{Auth, Refused};
use ring::rand::{SecureRandom, SystemRandom};
use std::net::IpAddr;
use std::sync::Arc;
use store::Account;
use wire::sasl::{Answer, Question, Refusal};

const UNKNOWN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

/// What of a connection counts in a sign-in.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// Where it comes from; `None` is unproxied loopback or a Unix socket, which never waits.
    pub peer: Option<IpAddr>,
    /// Whom its TLS certificate speaks for.
    pub certificate_names: Vec<String>,
}

impl Client {
    /// Of a connection as it is now.
    pub fn of(connection: &net::Connection) -> Client {
        let peer = connection.peer();
        Client {
            // A proxy's word that somebody is on its own machine earns nothing.
            peer: if peer.is_loopback() { None } else { peer.ip().map(|ip| if ip.is_loopback() { UNKNOWN } else { ip }) },
            certificate_names: connection.client_certificate().map(|known| known.names).unwrap_or_default(),
        }
    }
}

/// What a connection remembers between the questions of one exchange.
#[derive(Default)]
pub struct SignIn {
    /// For the trace: `IMAP`.
    protocol: &'static str,
    /// What the last lookup found; the outer `None` means there was none.
    looked_up: Option<Option<Arc<Account>>>,
}

impl SignIn {
    /// For a connection of this protocol.
    pub fn to(protocol: &'static str) -> SignIn {
        SignIn { protocol, looked_up: None }
    }

    /// Answers one question. The account is there exactly when the answer is `Accept`.
    pub async fn answer(&mut self, auth: &Auth, question: Question, client: Client) -> (Answer, Option<Arc<Account>>) {
        let peer = client.peer;
        let mut name = String::new();
        let signed_in = match question {
            Question::Password { login, password } => {
                let found = auth.program_password(&login, password.as_bytes(), peer).await;
                name = login;
                found
            }
            Question::ScramLookup { login } => return (self.lookup(auth, &login, peer).await, None),
            Question::ScramDone { login, proved } => match self.looked_up.take() {
                Some(account) => {
                    let found = auth.scram_done(account, &login, proved, peer).await;
                    name = login;
                    found
                }
                None => Err(Refused::Temporary),
            },
            Question::Token { login, token } => {
                let found = auth.token(login.as_deref(), token.as_bytes(), peer).await;
                name = login.unwrap_or_default();
                if matches!(found, Err(Refused::Credentials)) {
                    auth.note(self.protocol, &name, peer, &found);
                    return (Answer::RefuseToken { discovery: auth.discovery() }, None);
                }
                found
            }
            Question::Certificate { login } => {
                let found = auth.certificate(login.as_deref(), &client.certificate_names, peer).await;
                name = login.unwrap_or_default();
                found
            }
        };
        auth.note(self.protocol, &name, peer, &signed_in);
        match signed_in {
            Ok(account) => (Answer::Accept, Some(account)),
            Err(refused) => (Answer::Refuse(refusal(refused)), None),
        }
    }

    async fn lookup(&mut self, auth: &Auth, login: &str, peer: Option<IpAddr>) -> Answer {
        let (account, verifier, also) = match auth.scram(login, peer).await {
            Ok(found) => found,
            Err(refused) => return Answer::Refuse(refusal(refused)),
        };
        let Some(nonce) = nonce() else { return Answer::Refuse(Refusal::Temporary) };
        self.looked_up = Some(account);
        let verifier = wire::sasl::ScramVerifier {
            salt: verifier.salt,
            iterations: verifier.iterations,
            stored_key: verifier.stored_key,
            server_key: verifier.server_key,
            also,
        };
        Answer::Scram { verifier, nonce }
    }
}

/// 18 random octets as text, for SCRAM (also for clients of ours); `None` when the system has no randomness.
pub fn nonce() -> Option<String> {
    let mut octets = [0u8; 18];
    SystemRandom::new().fill(&mut octets).ok()?;
    Some(data_encoding::BASE64URL_NOPAD.encode(&octets))
}

fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::Credentials => Refusal::Credentials,
        Refused::Suspended => Refusal::Suspended,
        Refused::ProgramPassword => Refusal::ProgramPassword,
        Refused::Temporary => Refusal::Temporary,
    }
}
