//! Somebody else's server, scripted: it says no in all places, cuts the connection after the final dot, says 250 and
//! breaks, takes some recipients and not others.
//!
//! Invariant: what it kept is in the ledger; a message whose sender cannot have heard its 250 is written down as such.

use crate::chance::Chance;
use crate::mail;
use crate::pipe::End;
use crate::world::World;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// Nobody waits longer for a line.
const PATIENCE: Duration = Duration::from_secs(600);

struct Talk {
    stream: BufReader<End>,
    chance: Chance,
    world: Arc<World>,
    reverse_path: String,
    recipients: Vec<String>,
}

/// Serves a connection to its end.
pub(crate) async fn serve(world: Arc<World>, end: End, number: u64) {
    let chance = Chance::new(world.seed, "foreign", number);
    let mut talk = Talk { stream: BufReader::new(end), chance, world, reverse_path: String::new(), recipients: Vec::new() };
    let _ = talk.run().await;
}

enum Goes {
    On,
    Away,
}

impl Talk {
    async fn say(&mut self, text: &str) -> Option<()> {
        self.stream.get_mut().write_all(format!("{text}\r\n").as_bytes()).await.ok()
    }

    async fn line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_until(b'\n', &mut line)).await.ok()?.ok()?;
        (read > 0 && line.ends_with(b"\n")).then_some(line)
    }

    /// Does it misbehave here?
    fn odd(&mut self, percent: u64) -> bool {
        !self.world.is_calm() && self.chance.percent(percent)
    }

    async fn run(&mut self) -> Option<()> {
        if self.odd(10) {
            let greeting = *self.chance.pick(&["421 4.3.2 Not now", "554 5.3.2 Never", ""]);
            if !greeting.is_empty() {
                return self.say(greeting).await;
            }
            tokio::time::sleep(PATIENCE).await;
            return None;
        }
        self.say("220 mx.foreign.test ESMTP").await?;
        loop {
            let line = self.line().await?;
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            let verb = text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            let goes = match verb.as_str() {
                "EHLO" => self.hello().await?,
                "MAIL" => self.mail(&text).await?,
                "RCPT" => self.rcpt(&text).await?,
                "DATA" => self.data().await?,
                "RSET" => {
                    self.recipients.clear();
                    self.say("250 2.0.0 Forgotten").await?;
                    Goes::On
                }
                "QUIT" => {
                    self.say("221 2.0.0 Bye").await?;
                    Goes::Away
                }
                _ => {
                    self.say("250 2.0.0 If you say so").await?;
                    Goes::On
                }
            };
            if matches!(goes, Goes::Away) {
                return None;
            }
        }
    }

    async fn hello(&mut self) -> Option<Goes> {
        if self.odd(5) {
            self.say("451 4.3.0 Later").await?;
            return Some(Goes::On);
        }
        let offers = *self.chance.pick(&[
            "250-mx.foreign.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 1000000",
            "250-mx.foreign.test\r\n250-8BITMIME\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE",
            "250 mx.foreign.test",
        ]);
        self.say(offers).await?;
        Some(Goes::On)
    }

    async fn mail(&mut self, text: &str) -> Option<Goes> {
        self.recipients.clear();
        self.reverse_path = path(text);
        if self.odd(8) {
            let no = *self.chance.pick(&["451 4.3.0 Later", "550 5.7.1 Not you", "421 4.3.2 Going down"]);
            self.say(no).await?;
            return Some(if no.starts_with("421") { Goes::Away } else { Goes::On });
        }
        self.say("250 2.1.0 Sender ok").await?;
        Some(Goes::On)
    }

    async fn rcpt(&mut self, text: &str) -> Option<Goes> {
        let to = path(text);
        let answer = match to.split('@').next().unwrap_or_default() {
            "no" => "550 5.1.1 Nobody of that name",
            "maybe" if self.odd(50) => self.chance.pick(&["451 4.7.1 Greylisted", "450 4.2.1 Busy", "552 5.2.2 Full"]),
            _ if self.odd(5) => "452 4.5.3 Too many",
            _ => "250 2.1.5 Recipient ok",
        };
        if answer.starts_with("250") {
            self.recipients.push(to);
        }
        self.say(answer).await?;
        Some(Goes::On)
    }

    async fn data(&mut self) -> Option<Goes> {
        if self.recipients.is_empty() {
            self.say("554 5.5.1 No valid recipients").await?;
            return Some(Goes::On);
        }
        if self.odd(6) {
            let no = *self.chance.pick(&["451 4.3.0 Later", "554 5.6.0 Not that"]);
            self.say(no).await?;
            return Some(Goes::On);
        }
        self.say("354 Go").await?;
        let mut octets = Vec::new();
        loop {
            let line = self.line().await?;
            if line == b".\r\n" {
                break;
            }
            octets.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
        self.dot(octets).await
    }

    async fn dot(&mut self, octets: Vec<u8>) -> Option<Goes> {
        let number = mail::number_in(&octets, mail::NUMBER).unwrap_or(0);
        let fate = if self.world.is_calm() { 100 } else { self.chance.from(0, 99) };
        match fate {
            0..=5 => {
                self.world.log.say(format!("foreign: m{number} 451 after the dot"));
                self.say("451 4.3.0 Later after all").await?;
                return Some(Goes::On);
            }
            6..=8 => {
                self.world.log.say(format!("foreign: m{number} 554 after the dot"));
                self.say("554 5.6.0 Not that after all").await?;
                return Some(Goes::On);
            }
            9..=12 => {
                self.world.log.say(format!("foreign: m{number} not kept, cut after the dot"));
                return Some(Goes::Away);
            }
            _ => {}
        }
        let (reverse_path, recipients) = (self.reverse_path.clone(), std::mem::take(&mut self.recipients));
        let unheard = (13..=18).contains(&fate);
        self.world.log.say(format!("foreign: m{number} kept for {recipients:?}{}", if unheard { ", unheard" } else { "" }));
        self.world.ledger(|ledger| {
            for recipient in recipients {
                ledger.foreign.push((recipient, reverse_path.clone(), octets.clone()));
            }
            if unheard {
                *ledger.foreign_unheard.entry(number).or_default() += 1;
            }
        });
        if unheard {
            return Some(Goes::Away);
        }
        self.say("250 2.0.0 Kept").await?;
        if (19..=24).contains(&fate) {
            return Some(Goes::Away);
        }
        Some(Goes::On)
    }
}

/// Between the angle brackets.
fn path(text: &str) -> String {
    let inner = text.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or(String::new(), |(path, _)| path.to_owned())
}
