//! How one line of a dialogue looks: who says it, in which colour, what it means and where that stands; for `wire`, which
//! watches the server, and for `--show-wire`, which shows what a command of ours says to other servers.
//!
//! Invariant: only what [`wire::explain`] gave out is shown, so no secret and no message. Must not know: sockets.

use client::Place;
use client::dial::Listening;
use net::Tap;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use wire::explain::{Explained, Explainer, Protocol, Side};

/// Cyan for the client, yellow for the server, faint for the sentence.
const COLOURS: [&str; 3] = ["\x1b[36m", "\x1b[33m", "\x1b[2m"];
const PLAIN: &str = "\x1b[0m";

/// Colours for this stream? (<https://no-color.org>)
pub(crate) fn coloured(terminal: bool) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The protocol's name in JSON.
pub(crate) fn protocol_word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Smtp => "smtp",
        Protocol::Lmtp => "lmtp",
        Protocol::Pop3 => "pop3",
        Protocol::Imap => "imap",
    }
}

/// The side's name in JSON.
pub(crate) fn side_word(side: Side) -> &'static str {
    if side == Side::Client { "client" } else { "server" }
}

/// Two lines for people: `head` says which dialogue it is.
pub(crate) fn lines(colour: bool, head: &str, from_client: bool, (line, meaning, section): (&str, &str, &str)) -> String {
    let section = if section.is_empty() { String::new() } else { format!(" [{section}]") };
    let arrow = if from_client { "C:" } else { "S:" };
    let [client, server, faint] = COLOURS;
    if colour {
        let said = if from_client { client } else { server };
        format!("{head} {said}{arrow} {line}{PLAIN}\n        {faint}{meaning}{section}{PLAIN}")
    } else {
        format!("{head} {arrow} {line}\n        {meaning}{section}")
    }
}

/// One of our connections to somebody's server.
struct Shown {
    head: String,
    number: u64,
    peer: String,
    protocol: Protocol,
    json: bool,
    colour: bool,
    explainer: Mutex<Explainer>,
}

impl Shown {
    fn show(&self, explain: impl FnOnce(&mut Explainer) -> Vec<Explained>) {
        let explained = explain(&mut self.explainer.lock().unwrap_or_else(PoisonError::into_inner));
        let mut err = std::io::stderr().lock();
        for one in explained {
            let text = if self.json {
                self.value(&one).to_string()
            } else {
                lines(self.colour, &self.head, one.side == Side::Client, (&one.line, &one.meaning, one.section))
            };
            // Nobody who looks: nothing to show.
            let _ = writeln!(err, "{text}");
        }
    }

    fn value(&self, one: &Explained) -> Value {
        json!({
            "connection": self.number,
            "protocol": protocol_word(self.protocol),
            "peer": self.peer,
            "side": side_word(one.side),
            "line": one.line,
            "meaning": one.meaning,
            "section": one.section,
        })
    }
}

impl Tap for Shown {
    fn heard(&self, octets: &[u8]) {
        self.show(|explainer| explainer.said(Side::Server, octets));
    }
    fn said(&self, octets: &[u8]) {
        self.show(|explainer| explainer.said(Side::Client, octets));
    }
    fn tls_started(&self) {
        self.show(|explainer| vec![explainer.tls_started()]);
    }
    fn named(&self, _: &str) {}
}

/// `--show-wire`: every dialogue of this command on standard error, as it happens.
pub(crate) fn shown(json: bool) -> Listening {
    let colour = coloured(std::io::stderr().is_terminal());
    let connections = AtomicU64::new(0);
    Arc::new(move |place: &Place, tls: bool| {
        let protocol = match place.protocol {
            client::Protocol::Imap => Protocol::Imap,
            client::Protocol::Pop3 => Protocol::Pop3,
            client::Protocol::Smtp => Protocol::Smtp,
        };
        let number = connections.fetch_add(1, Ordering::Relaxed) + 1;
        let (head, peer) = (format!("{number} {}", protocol_word(protocol)), place.to_string());
        let mut explainer = Explainer::new(protocol);
        let first = tls.then(|| explainer.tls_started());
        let shown = Shown { head, number, peer, protocol, json, colour, explainer: Mutex::new(explainer) };
        shown.show(|_| first.into_iter().collect());
        Arc::new(shown)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_only_where_they_are_wanted() {
        let said = ("a1 NOOP", "Nothing.", "RFC 9051 §6.1.2");
        assert_eq!(lines(false, "1 imap", true, said), "1 imap C: a1 NOOP\n        Nothing. [RFC 9051 §6.1.2]");
        let coloured = lines(true, "1 imap", false, said);
        assert!(coloured.contains("\x1b[33mS: a1 NOOP\x1b[0m"), "{coloured:?}");
        assert!(!lines(true, "1 imap", true, said).contains("\x1b[33m"), "two sides, two colours");
    }
}
