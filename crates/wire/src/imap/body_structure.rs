//! BODY and BODYSTRUCTURE (RFC 9051 §7.5.2), as a client reads them; tolerant.

use super::envelope::{EnvelopeItem, NString};
use bytes::Bytes;

/// A part and what is below it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BodyStructure {
    Multipart { parts: Vec<BodyStructure>, subtype: Bytes, extension: Option<Extension> },
    Single(Box<SinglePart>),
}

/// A part that is no multipart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct SinglePart {
    pub media_type: Bytes,
    pub subtype: Bytes,
    pub parameters: Vec<(Bytes, Bytes)>,
    pub id: NString,
    pub description: NString,
    pub encoding: Bytes,
    pub size: u64,
    /// message/rfc822 and message/global.
    pub message: Option<(Box<EnvelopeItem>, Box<BodyStructure>)>,
    /// text/* and message/rfc822.
    pub lines: Option<u64>,
    pub md5: NString,
    pub extension: Option<Extension>,
}

/// Extension data common to both kinds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Extension {
    /// Multiparts only (a single part has them in front).
    pub parameters: Vec<(Bytes, Bytes)>,
    pub disposition: Option<(Bytes, Vec<(Bytes, Bytes)>)>,
    pub language: Vec<Bytes>,
    pub location: NString,
}
