//! The seam of every protocol: bytes in, events out.
//!
//! The owner loops: `poll`; on `Wait` write what `transmit` gives, then read and `receive`; on an event act and answer
//! through the session's own methods, then `poll` again. While an event waits for its answer `poll` says `Wait` and the
//! owner must not read (the session's `wants_input` is false).
//! Laws, each a test that all six sessions pass: any chunking of the input gives the same bytes out; bytes buffered
//! behind STARTTLS/STLS close the connection; buffers never exceed the named limits; never panics.

use crate::sasl::Channel;

/// Milliseconds on a clock that never goes back; where it starts means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(pub u64);

impl Time {
    /// Later by `secs`.
    pub fn plus_secs(self, secs: u64) -> Time {
        Time(self.0.saturating_add(secs.saturating_mul(1000)))
    }
}

/// What the owner of a session does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<E> {
    /// Act on this.
    Event(E),
    /// Write what `transmit` gives, then wait for bytes, an answer or the deadline.
    Wait,
    /// Write what `transmit` gives, do the TLS handshake, then call `tls_started`.
    StartTls,
    /// Write what `transmit` gives, then close.
    Close,
}

/// One side of one conversation.
pub trait Session {
    /// What the peer did.
    type Event;
    /// Takes bytes from the peer. Never fails: a peer's nonsense is answered by the session itself, counted, and past a limit the session closes.
    fn receive(&mut self, bytes: &[u8]);
    /// The peer closed its sending half.
    fn receive_end(&mut self);
    /// The next step at `now` (also how time-outs come about: past `deadline` it says so to the peer and closes).
    fn poll(&mut self, now: Time) -> Step<Self::Event>;
    /// Appends all bytes that are ready for the peer to `out`.
    fn transmit(&mut self, out: &mut Vec<u8>);
    /// When `poll` wants to be called even if nothing arrives.
    fn deadline(&self) -> Option<Time>;
    /// False while an event waits for its answer or enough is buffered: the owner then does not read.
    fn wants_input(&self) -> bool;
    /// Between two of the client's commands, with nothing read that is not done: who listens in from here on takes nothing for what
    /// it is not. (Of server sessions.)
    fn is_at_rest(&self) -> bool {
        false
    }
    /// What the TLS just begun lends to sign-in; comes before [`Session::tls_started`], or right after construction of
    /// a session that begins under TLS.
    fn tls_channel(&mut self, _channel: Channel) {}
    /// The TLS handshake after [`Step::StartTls`] is done. Sessions that began under TLS are told at construction.
    fn tls_started(&mut self);
}
