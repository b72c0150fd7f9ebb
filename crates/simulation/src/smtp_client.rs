//! People and neighbours who bring mail: to port 25, to submission, to LMTP, on our own SMTP client session.
//!
//! Invariant: a promise is written down only for a 250 to the message that was read off the wire. What was not answered
//! is tried again, as real programs do. Must not know: how a server keeps mail.

use crate::chance::Chance;
use crate::mail;
use crate::network;
use crate::office::PASSWORD;
use crate::world::World;
use message::address::Address;
use net::{Connection, Next, Peer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use store::QueueRecipient;
use wire::sasl::Secret;
use wire::sasl::client::Credentials;
use wire::smtp::Client;
use wire::smtp::client::{Config, Envelope, Event, Outcome, Recipient, RecipientOutcome, Stage, StartTls};

/// Tries of one message.
const TRIES: u32 = 4;
/// Octets given to the session at once.
const PIECE_BYTES: usize = 8 * 1024;

/// How somebody sends.
struct Way {
    to: SocketAddr,
    lmtp: bool,
    login: Option<String>,
}

struct Message {
    number: u64,
    reverse_path: String,
    recipients: Vec<String>,
    notify: u8,
    octets: Vec<u8>,
}

/// Local parts that each server knows or does not.
const LOCAL: &[&[&str]] =
    &[&["alice", "bob", "full", "ivy", "fwd", "team", "nobody"], &["carol", "pat", "back", "nobody"], &["erin", "nobody"]];
/// Whom people write to.
const EVERYBODY: &[&str] = &[
    "alice@alpha.test",
    "bob@alpha.test",
    "full@alpha.test",
    "ivy@alpha.test",
    "fwd@alpha.test",
    "team@alpha.test",
    "carol@beta.test",
    "pat@beta.test",
    "back@beta.test",
    "erin@gamma.test",
    "yes@foreign.test",
    "maybe@foreign.test",
    "no@foreign.test",
    "nobody@beta.test",
    "x@dead.test",
    "x@null.test",
    "x@nowhere.test",
    "x@loop.test",
    "x@empty.test",
    "dan@delta.test",
    "sue@sigma.test",
    "nobody@sigma.test",
];
/// Whom strangers write as.
const STRANGERS: &[&str] = &["yes@foreign.test", "carol@beta.test", "erin@gamma.test", "x@dead.test", ""];
/// Who submits.
const SUBMITTERS: &[(usize, &str)] = &[(0, "alice"), (0, "bob"), (1, "carol"), (2, "erin")];

/// One person's day.
pub(crate) async fn live(world: Arc<World>, number: u64) {
    let mut chance = Chance::new(world.seed, "person", number);
    for _ in 0..chance.from(1, 3) {
        tokio::time::sleep(Duration::from_millis(chance.from(0, 1_800_000))).await;
        let (way, mut waiting) = draw(&world, &mut chance);
        for attempt in 1..=TRIES {
            waiting = converse(&world, &mut chance, number, &way, waiting).await;
            if waiting.is_empty() {
                break;
            }
            if attempt < TRIES {
                tokio::time::sleep(Duration::from_secs(chance.from(20, 900))).await;
            }
        }
    }
}

fn draw(world: &World, chance: &mut Chance) -> (Way, Vec<Message>) {
    let kind = chance.from(0, 9);
    let (server, account) = match kind {
        0..=4 => {
            let (server, local) = chance.pick(SUBMITTERS);
            (*server, Some(format!("{local}@{}", world.domain(*server))))
        }
        _ => (usize::try_from(chance.from(0, 2)).unwrap_or(0), None),
    };
    let lmtp = account.is_none() && kind == 9;
    let port = if account.is_some() { 587 } else { if lmtp { 24 } else { 25 } };
    let count = if chance.percent(20) { chance.from(2, 5) } else { 1 };
    let messages = (0..count).map(|_| message(world, chance, server, account.as_deref())).collect();
    (Way { to: SocketAddr::new(world.ip(server), port), lmtp, login: account }, messages)
}

fn message(world: &World, chance: &mut Chance, server: usize, account: Option<&str>) -> Message {
    let reverse_path = match account {
        Some(account) => if chance.percent(95) { account } else { "" }.to_owned(),
        None => (*chance.pick(STRANGERS)).to_owned(),
    };
    let mut recipients: Vec<String> = Vec::new();
    for _ in 0..if chance.percent(60) { 1 } else { chance.from(2, 4) } {
        let address = match account {
            Some(_) => (*chance.pick(EVERYBODY)).to_owned(),
            None => format!("{}@{}", chance.pick(LOCAL[server]), world.domain(server)),
        };
        if !recipients.contains(&address) {
            recipients.push(address);
        }
    }
    if account.is_some() && world.circles && chance.percent(15) {
        recipients = vec!["ping@alpha.test".to_owned()];
    }
    let notify = match chance.from(0, 9) {
        0 => QueueRecipient::NOTIFY_NEVER,
        1 => QueueRecipient::NOTIFY_SUCCESS | QueueRecipient::NOTIFY_FAILURE,
        _ => 0,
    };
    let number = world.ledger(|ledger| ledger.number());
    let from = account.unwrap_or("stranger@foreign.test");
    let octets = mail::build(chance, number, from, recipients.first().map_or("", String::as_str));
    world.ledger(|ledger| {
        let sent = ledger.sent.entry(number).or_default();
        sent.reverse_path.clone_from(&reverse_path);
        sent.octets.clone_from(&octets);
        sent.never_notify = notify == QueueRecipient::NOTIFY_NEVER;
    });
    world.count(|counts| counts.messages += 1);
    world.log.say(format!("m{number} from <{reverse_path}> to {recipients:?}, {} octets, notify {notify}", octets.len()));
    Message { number, reverse_path, recipients, notify, octets }
}

fn address(text: &str) -> Address {
    let (local, domain) = text.rsplit_once('@').unwrap_or((text, ""));
    Address { local: local.to_owned(), domain: domain.to_owned() }
}

fn envelope(message: &Message) -> Envelope {
    let recipient = |to: &String| Recipient { address: address(to), notify: message.notify, original: None };
    Envelope {
        reverse_path: (!message.reverse_path.is_empty()).then(|| address(&message.reverse_path)),
        recipients: message.recipients.iter().map(recipient).collect(),
        size: Some(message.octets.len() as u64),
        eight_bit: !message.octets.is_ascii(),
        ..Envelope::default()
    }
}

fn config(way: &Way, number: u64) -> Config {
    Config {
        hostname: format!("person{number}.test"),
        lmtp: way.lmtp,
        tls: false,
        starttls: StartTls::Never,
        credentials: way
            .login
            .as_ref()
            .map(|login| Credentials { login: login.clone(), password: Secret::new(PASSWORD.to_vec()) }),
        plaintext_auth: false,
        nonce: format!("nonceofperson{number}"),
    }
}

/// One connection; what is left to be tried again.
async fn converse(world: &Arc<World>, chance: &mut Chance, number: u64, way: &Way, messages: Vec<Message>) -> Vec<Message> {
    let from = crate::names::ip([192, 0, 2, u8::try_from(10 + number % 200).unwrap_or(10)]);
    let name = format!("person{number}");
    let dialled = tokio::time::timeout(Duration::from_secs(60), network::connect(world, &name, from, way.to)).await;
    let Ok(Ok(end)) = dialled else { return messages };
    let peer = Peer::Ip { ip: way.to.ip(), port: way.to.port() };
    let mut connection = Connection::over(Box::new(end), peer, None);
    let mut client = Client::new(config(way, number));
    let mut todo: std::collections::VecDeque<Message> = messages.into();
    let mut left = Vec::new();
    // The message under way, octets given so far.
    let mut at: Option<(Message, usize)> = None;
    loop {
        match connection.next(&mut client).await {
            Next::Event(Event::Ready) => match todo.pop_front() {
                Some(message) => {
                    client.send(envelope(&message));
                    at = Some((message, 0));
                }
                None if chance.percent(90) => client.quit(),
                None => break,
            },
            Next::Event(Event::WantsBody) => {
                let Some((message, given)) = &mut at else { break };
                match message.octets.get(*given..).filter(|rest| !rest.is_empty()) {
                    Some(rest) => {
                        let piece = rest.get(..PIECE_BYTES).unwrap_or(rest);
                        client.body(piece);
                        *given += piece.len();
                        connection.flush(&mut client).await;
                    }
                    None => client.body_end(),
                }
            }
            Next::Event(Event::Outcome(outcome)) => {
                if let Some((message, _)) = at.take() {
                    left.extend(answered(world, message, &outcome));
                }
            }
            Next::Event(Event::Failed(failure)) => {
                world.log.say(format!("{name}: {failure:?}"));
                break;
            }
            Next::Closed => break,
        }
    }
    if let Some((message, given)) = at {
        world.log.say(format!("m{}: lost after {given} octets", message.number));
        if given >= message.octets.len() {
            world.ledger(|ledger| ledger.sent.entry(message.number).or_default().unanswered += 1);
        }
        left.push(message);
    }
    left.extend(todo);
    left
}

/// Writes down what was promised; the message with whom to try again for.
fn answered(world: &World, mut message: Message, outcome: &Outcome) -> Option<Message> {
    let mut again = Vec::new();
    let mut unanswered = false;
    for (recipient, said) in message.recipients.iter().zip(&outcome.recipients) {
        match said {
            RecipientOutcome::Accepted(reply) => {
                world.log.say(format!("m{} to {recipient}: promised, {}", message.number, reply.code));
                world.count(|counts| counts.promises += 1);
                world.ledger(|ledger| {
                    let sent = ledger.sent.entry(message.number).or_default();
                    *sent.promised.entry(recipient.clone()).or_default() += 1;
                });
            }
            RecipientOutcome::Refused(stage, reply) => {
                world.log.say(format!("m{} to {recipient}: {reply} at {stage:?}", message.number));
                if reply.code < 500 {
                    again.push(recipient.clone());
                }
            }
            RecipientOutcome::Lost(stage) => {
                world.log.say(format!("m{} to {recipient}: lost at {stage:?}", message.number));
                unanswered |= *stage == Stage::End;
                again.push(recipient.clone());
            }
            other => world.log.say(format!("m{} to {recipient}: {other:?}", message.number)),
        }
    }
    if unanswered {
        world.ledger(|ledger| ledger.sent.entry(message.number).or_default().unanswered += 1);
    }
    message.recipients = again;
    (!message.recipients.is_empty()).then_some(message)
}
