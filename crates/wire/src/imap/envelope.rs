//! The ENVELOPE fetch item (RFC 9051 §7.5.2), as a client reads it; tolerant.

use bytes::Bytes;

/// Octets or NIL; encoded-words are left as they are.
pub type NString = Option<Bytes>;

/// ENVELOPE.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct EnvelopeItem {
    pub date: NString,
    pub subject: NString,
    pub from: Vec<EnvelopeAddress>,
    pub sender: Vec<EnvelopeAddress>,
    pub reply_to: Vec<EnvelopeAddress>,
    pub to: Vec<EnvelopeAddress>,
    pub cc: Vec<EnvelopeAddress>,
    pub bcc: Vec<EnvelopeAddress>,
    pub in_reply_to: NString,
    pub message_id: NString,
}

/// One address; group syntax has NIL hosts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct EnvelopeAddress {
    pub name: NString,
    pub route: NString,
    pub mailbox: NString,
    pub host: NString,
}
