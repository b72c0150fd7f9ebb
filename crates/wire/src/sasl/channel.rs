//! What the TLS around a conversation lends to sign-in: channel bindings (RFC 5056) and a client's certificate.
//!
//! `tls-exporter` (RFC 9266) and `tls-server-end-point` (RFC 5929). `tls-unique` is not for TLS 1.3 and never offered.
//! Must not know: how TLS computes them.

use std::fmt;

/// Facts of one TLS connection.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Channel {
    /// `EXPORTER-Channel-Binding`, 32 octets; only where the exporter binds (TLS 1.3).
    pub exporter: Option<[u8; 32]>,
    /// The server certificate's hash, by the hash of its signature.
    pub server_end_point: Option<Vec<u8>>,
    /// A client certificate came that says who the client is. (On a client's side: ours was asked for and sent.)
    pub external: bool,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channel(..)")
    }
}

/// A channel binding type (RFC 5056 §7.1) that we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// RFC 9266.
    TlsExporter,
    /// RFC 5929 §4.
    TlsServerEndPoint,
}

impl Binding {
    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Binding::TlsExporter => "tls-exporter",
            Binding::TlsServerEndPoint => "tls-server-end-point",
        }
    }

    /// By name; names are case-sensitive (RFC 5802 §7).
    pub fn parse(name: &str) -> Option<Binding> {
        [Binding::TlsExporter, Binding::TlsServerEndPoint].into_iter().find(|known| known.name() == name)
    }
}

impl Channel {
    /// SCRAM can be bound to it.
    pub fn binds(&self) -> bool {
        self.best().is_some()
    }

    /// The strongest binding there is.
    pub fn best(&self) -> Option<Binding> {
        [Binding::TlsExporter, Binding::TlsServerEndPoint].into_iter().find(|binding| self.data(*binding).is_some())
    }

    /// The octets of a binding, where there are any.
    pub fn data(&self, binding: Binding) -> Option<&[u8]> {
        match binding {
            Binding::TlsExporter => self.exporter.as_ref().map(<[u8; 32]>::as_slice),
            Binding::TlsServerEndPoint => self.server_end_point.as_deref(),
        }
    }
}
