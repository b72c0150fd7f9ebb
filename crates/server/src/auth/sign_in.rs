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
    pub async fn answer(&mut self, auth: &Auth, question: Question, peer: Option<IpAddr>) -> (Answer, Option<Arc<Account>>) {
        let mut name = String::new();
        let signed_in = match question {
            Question::Password { login, password } => {
                let found = auth.password(&login, password.as_bytes(), peer).await;
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
        };
        auth.note(self.protocol, &name, peer, &signed_in);
        match signed_in {
            Ok(account) => (Answer::Accept, Some(account)),
            Err(refused) => (Answer::Refuse(refusal(refused)), None),
        }
    }

    async fn lookup(&mut self, auth: &Auth, login: &str, peer: Option<IpAddr>) -> Answer {
        let (account, verifier) = match auth.scram(login, peer).await {
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
        Refused::Temporary => Refusal::Temporary,
    }
}
