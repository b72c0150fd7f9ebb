//! Who answers at `https://mta-sts.sigma.test`: the host itself with the policy, or somebody else who says that there is none.
//!
//! Invariant: the policy itself never changes. Must not know: who reads it.

use crate::certificates::CERTIFICATES;
use crate::pipe::End;
use mta::sts::{Mode, Policy};
use net::{Connection, Incoming, Peer};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

const HANDSHAKE_MAX: Duration = Duration::from_secs(30);

/// The policy of `sigma.test`.
pub(crate) fn policy() -> String {
    Policy { mode: Mode::Enforce, mx: vec!["mx.sigma.test".to_owned()], max_age_secs: 31_557_600 }.render()
}

/// Answers one request, whatever it is.
pub(crate) async fn serve(end: End, from: IpAddr, itself: bool) {
    let (tls, text) = if itself {
        (Arc::clone(&CERTIFICATES.own), policy())
    } else {
        (Arc::clone(&CERTIFICATES.false_one), Policy { mode: Mode::None, mx: Vec::new(), max_age_secs: 86_400 }.render())
    };
    let incoming = Incoming::over(Box::new(end), Peer::Ip { ip: from, port: 40_000 }, None);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    if let Ok(connection) = Connection::server_tls(incoming, &tls, HANDSHAKE_MAX).await {
        connection.say_and_close(answer.as_bytes()).await;
    }
}
