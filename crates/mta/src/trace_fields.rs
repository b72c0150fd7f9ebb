//! Return-Path and Received (RFC 5321 §4.4, RFC 3848).
//!
//! Invariant: what a peer said is never able to end the line or the comment it stands in. Must not know: clocks.

use message::address::Address;
use std::net::IpAddr;
use store::UnixSecs;

/// One hop, ours.
#[derive(Debug, Clone)]
pub struct Received<'a> {
    /// What the peer called itself.
    pub helo: &'a str,
    /// Its address; `None` for a Unix socket.
    pub peer: Option<IpAddr>,
    /// Our name.
    pub by: &'a str,
    /// RFC 3848's word, as the session knows it: `ESMTPSA`, `LMTP`, ...
    pub with: &'a str,
    /// What TLS, in a few words, when there is TLS.
    pub tls: Option<&'a str>,
    /// The transaction, as in the reply.
    pub id: &'a str,
    /// Only when there is a single recipient: others' addresses are nobody's business.
    pub recipient: Option<&'a str>,
    /// When.
    pub at_secs: UnixSecs,
}

impl Received<'_> {
    /// The field, folded, with its CRLF.
    pub fn field(&self) -> String {
        let helo = plain(self.helo);
        let from = match self.peer {
            Some(IpAddr::V4(ip)) => format!("{helo} ([{ip}])"),
            Some(IpAddr::V6(ip)) => format!("{helo} ([IPv6:{ip}])"),
            None => format!("{helo} (local socket)"),
        };
        let tls = self.tls.map(|tls| format!("\r\n\t(using {})", plain_words(tls))).unwrap_or_default();
        let recipient = self.recipient.map(|r| format!("\r\n\tfor <{}>", written(r))).unwrap_or_default();
        let date = message::date::format_rfc_5322(self.at_secs);
        format!(
            "Received: from {from}{tls}\r\n\tby {} with {} id {}{recipient};\r\n\t{date}\r\n",
            plain(self.by),
            plain(self.with),
            plain(self.id)
        )
    }
}

/// The field final delivery puts on top (RFC 5321 §4.4), with its CRLF.
pub fn return_path(reverse_path: &str) -> String {
    format!("Return-Path: <{}>\r\n", written(reverse_path))
}

/// How many octets our own Return-Path takes at the head of a stored message: left out when the message travels on.
pub fn return_path_len(head: &[u8]) -> usize {
    const NAME: &[u8] = b"return-path:";
    if !head.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)) {
        return 0;
    }
    head.windows(2).position(|pair| pair == b"\r\n").map_or(0, |at| at + 2)
}

fn plain(word: &str) -> String {
    let word: String =
        word.chars().take(255).map(|c| if c.is_ascii_alphanumeric() || ".-:[]_".contains(c) { c } else { '?' }).collect();
    if word.is_empty() { "unknown".to_owned() } else { word }
}

fn plain_words(text: &str) -> String {
    text.split(' ').map(plain).collect::<Vec<String>>().join(" ")
}

/// `local@domain` as it stands between angle brackets: quoted where it must be, and nothing that could end the field.
pub fn written(address: &str) -> String {
    let parsed = address.rsplit_once('@').map(|(local, domain)| Address { local: local.to_owned(), domain: domain.to_owned() });
    let encoded = parsed.and_then(|parsed| wire::smtp::path::encode_mailbox(&parsed));
    encoded.unwrap_or_else(|| address.chars().filter(|c| !c.is_control() && *c != '<' && *c != '>').take(512).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_received_field_whole_and_unbreakable() {
        let mut received = Received {
            helo: "client.test",
            peer: Some("192.0.2.1".parse().unwrap()),
            by: "mx.here.test",
            with: "ESMTPS",
            tls: Some("TLSv1.3 TLS_AES_256_GCM_SHA384"),
            id: "abc",
            recipient: Some("ann@here.test"),
            at_secs: 0,
        };
        assert_eq!(
            received.field(),
            "Received: from client.test ([192.0.2.1])\r\n\t(using TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n\tby mx.here.test with ESMTPS id abc\r\n\tfor <ann@here.test>;\r\n\tThu, 1 Jan 1970 00:00:00 +0000\r\n"
        );
        received.helo = "a)\r\nX: y";
        received.recipient = None;
        received.tls = None;
        assert!(
            received.field().starts_with("Received: from a???X:?y ([192.0.2.1])\r\n\tby mx.here.test with ESMTPS id abc;\r\n")
        );
    }

    #[test]
    fn return_path_is_found_again() {
        let field = return_path("a@b");
        assert_eq!(field, "Return-Path: <a@b>\r\n");
        assert_eq!(return_path_len(format!("{field}Received: x\r\n").as_bytes()), field.len());
        assert_eq!(return_path_len(b"Received: x\r\n"), 0);
        assert_eq!(return_path(""), "Return-Path: <>\r\n");
        assert_eq!(return_path("a b@c.test"), "Return-Path: <\"a b\"@c.test>\r\n");
        assert_eq!(return_path("a@b>\r\nX: y"), "Return-Path: <a@bX: y>\r\n");
    }
}
