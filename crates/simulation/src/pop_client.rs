//! Pat empties the maildrop by POP3: reads, marks some, quits, or leaves without.
//!
//! Invariant: deleted is what was marked in a session whose QUIT was answered `+OK`, and nothing else; what was marked in
//! one whose QUIT went unanswered may be either. Must not know: the store.

use crate::chance::Chance;
use crate::mail;
use crate::network;
use crate::office::PASSWORD;
use crate::world::World;
use net::{Connection, Next, Peer};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use wire::pop3::client::{Client, Config, Event, Request, Stls};
use wire::sasl::Secret;
use wire::sasl::client::Credentials;

/// Who.
pub(crate) const PAT: &str = "pat@beta.test";

struct Talk {
    connection: Connection,
    client: Client,
}

/// The connection is over.
struct Lost;

/// How a request ended.
enum Answer {
    Done(Vec<Event>),
    Refused,
}

impl Talk {
    async fn open(world: &Arc<World>) -> Option<Talk> {
        let to = SocketAddr::new(world.ip(1), 110);
        let from = crate::names::ip([192, 0, 2, 4]);
        let dialled = tokio::time::timeout(Duration::from_secs(60), network::connect(world, "pat", from, to)).await;
        let connection = Connection::over(Box::new(dialled.ok()?.ok()?), Peer::Ip { ip: to.ip(), port: to.port() }, None);
        let client = Client::new(Config {
            tls: false,
            stls: Stls::Never,
            plaintext: false,
            credentials: Credentials { login: PAT.to_owned(), password: Secret::new(PASSWORD.to_vec()) },
            nonce: "nonceofpat".to_owned(),
            utf8: false,
        });
        let mut talk = Talk { connection, client };
        match talk.connection.next(&mut talk.client).await {
            Next::Event(Event::Ready(_)) => Some(talk),
            _ => None,
        }
    }

    async fn ask(&mut self, request: Request) -> Result<Answer, Lost> {
        self.client.request(request);
        let mut events = Vec::new();
        loop {
            match self.connection.next(&mut self.client).await {
                Next::Event(Event::Done(done)) if done == request => return Ok(Answer::Done(events)),
                Next::Event(Event::Refused(refused, _)) if refused == request => return Ok(Answer::Refused),
                Next::Event(Event::Failed(_)) | Next::Closed => return Err(Lost),
                Next::Event(event) => events.push(event),
            }
        }
    }

    /// Message numbers and their unique-ids.
    async fn unique_ids(&mut self) -> Result<Option<BTreeMap<u32, String>>, Lost> {
        let Answer::Done(events) = self.ask(Request::Uidl).await? else { return Ok(None) };
        let listed = events.into_iter().filter_map(|event| match event {
            Event::UniqueId { message, id } => Some((message, id)),
            _ => None,
        });
        Ok(Some(listed.collect()))
    }

    async fn read(&mut self, message: u32) -> Result<Option<Vec<u8>>, Lost> {
        let Answer::Done(events) = self.ask(Request::Retr(message)).await? else { return Ok(None) };
        let mut octets = Vec::new();
        for event in events {
            if let Event::Content(piece) = event {
                octets.extend_from_slice(&piece);
            }
        }
        Ok(Some(octets))
    }
}

/// Pat's day.
pub(crate) async fn live(world: Arc<World>) {
    let mut chance = Chance::new(world.seed, "pat", 0);
    for _ in 0..chance.from(1, 5) {
        tokio::time::sleep(Duration::from_secs(chance.from(60, 1_500))).await;
        let Some(mut talk) = Talk::open(&world).await else { continue };
        let mut marked = BTreeSet::new();
        match session(&world, &mut chance, &mut talk, &mut marked).await {
            Ok(true) => {
                world.log.say(format!("pat: QUIT, {} deleted", marked.len()));
                world.ledger(|ledger| ledger.maildrop.deleted.extend(marked));
            }
            Ok(false) => world.log.say("pat: left without QUIT"),
            Err(Ended { asked_to_quit }) => {
                world.log.say(format!("pat: lost, asked to quit: {asked_to_quit}"));
                if asked_to_quit {
                    world.ledger(|ledger| ledger.maildrop.unsure.extend(marked));
                }
            }
        }
    }
}

/// The connection was lost, or QUIT got a no.
struct Ended {
    asked_to_quit: bool,
}

impl From<Lost> for Ended {
    fn from(_: Lost) -> Ended {
        Ended { asked_to_quit: false }
    }
}

/// True when QUIT was answered `+OK`.
async fn session(world: &World, chance: &mut Chance, talk: &mut Talk, marked: &mut BTreeSet<String>) -> Result<bool, Ended> {
    let ids = talk.unique_ids().await?.unwrap_or_default();
    for (message, id) in ids {
        let Some(octets) = talk.read(message).await? else { continue };
        let number = mail::number_in(&octets, mail::NUMBER).unwrap_or(0);
        let before = world.ledger(|ledger| ledger.maildrop.seen.insert(id.clone(), number));
        if before.is_some_and(|before| before != number) {
            world.log.violation(format!("the unique-id {id} named message {before:?} and now {number}"));
        }
        if world.ledger(|ledger| ledger.maildrop.deleted.contains(&id)) {
            world.log.violation(format!("message {number} ({id}) was deleted and is there"));
        }
        if chance.percent(60) && matches!(talk.ask(Request::Dele(message)).await?, Answer::Done(_)) {
            marked.insert(id);
        }
    }
    if chance.percent(20) {
        return Ok(false);
    }
    match talk.ask(Request::Quit).await {
        Ok(Answer::Done(_)) => Ok(true),
        Ok(Answer::Refused) | Err(Lost) => Err(Ended { asked_to_quit: true }),
    }
}

/// When all is calm: what was deleted is gone, what was not is there.
pub(crate) async fn last_look(world: &Arc<World>) {
    let Some(mut talk) = Talk::open(world).await else {
        return world.log.violation("pat cannot sign in when all is calm");
    };
    let Ok(Some(ids)) = talk.unique_ids().await else {
        return world.log.violation("pat gets no list when all is calm");
    };
    let here: BTreeSet<String> = ids.into_values().collect();
    world.ledger(|ledger| {
        let maildrop = &ledger.maildrop;
        for (id, number) in &maildrop.seen {
            let (deleted, unsure) = (maildrop.deleted.contains(id), maildrop.unsure.contains(id));
            match here.contains(id) {
                true if deleted => world.log.violation(format!("message {number} ({id}) was deleted by POP3 and is there")),
                false if !deleted && !unsure => {
                    world.log.violation(format!("message {number} ({id}) was never deleted by POP3 and is gone"));
                }
                _ => {}
            }
        }
    });
    world.ledger(|ledger| ledger.maildrop.here = here);
    let _ = talk.ask(Request::Quit).await;
}
