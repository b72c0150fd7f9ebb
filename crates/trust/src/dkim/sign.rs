//! Signing (RFC 6376 §5): which fields, and the field that says so.
//!
//! Invariant: From, To, Subject and Date are signed once more than they stand there, so that nobody adds another.

use super::canon::{Canon, body_hash};
use super::key::KeyKind;
use super::private::SigningKey;
use super::signature::signed_data;
use crate::limits::{DKIM_HEADERS_MAX, HEADER_FIELDS_MAX};
use message::header::{Field, fields};

/// RFC 6376 §5.4.1, and what newer registries call originator fields.
const SIGNED: &[&str] = &[
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-ID",
    "Content-Description",
    "Content-Disposition",
    "Resent-Date",
    "Resent-From",
    "Resent-Sender",
    "Resent-To",
    "Resent-Cc",
    "Resent-Message-ID",
    "List-Id",
    "List-Help",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Subscribe",
    "List-Post",
    "List-Owner",
    "List-Archive",
    "Auto-Submitted",
];
/// Signed even where there is none.
const OVERSIGNED: &[&str] = &["From", "To", "Subject", "Date"];

/// Who signs.
#[derive(Debug)]
pub struct Signer {
    /// `d=`
    pub domain: String,
    /// `s=`
    pub selector: String,
    /// The key.
    pub key: SigningKey,
}

/// The names of `h=` for this header.
pub(crate) fn names(found: &[Field<'_>], oversigned: &[&str]) -> Vec<String> {
    let mut names = Vec::new();
    for name in SIGNED {
        let count = found.iter().filter(|field| field.is(name)).count() + usize::from(oversigned.contains(name));
        names.extend(std::iter::repeat_n((*name).to_owned(), count));
    }
    names.truncate(DKIM_HEADERS_MAX);
    names
}

/// `DKIM-Signature` fields, one a signer, with their CRLFs, to be put on top of `header`.
pub fn sign(header: &[u8], body: &[u8], signers: &[&Signer], now_secs: i64) -> String {
    let (hash, _) = body_hash(Canon::Relaxed, body, None);
    let found: Vec<Field<'_>> = fields(header).take(HEADER_FIELDS_MAX).collect();
    let names = names(&found, OVERSIGNED);
    let one = |signer: &&Signer| {
        let start = format!(
            "DKIM-Signature: v=1; a={}; c=relaxed/relaxed;\r\n\td={}; s={}; t={};\r\n\th={};\r\n\tbh={};\r\n\tb=",
            algorithm(signer.key.kind()),
            signer.domain,
            signer.selector,
            now_secs.max(0),
            folded(&names),
            data_encoding::BASE64.encode(&hash),
        );
        let data = signed_data(header, &found, &names, Canon::Relaxed, start.as_bytes());
        let signature = signer.key.sign(&data)?;
        Some(format!("{start}{}\r\n", folded_base64(&signature)))
    };
    signers.iter().filter_map(one).collect()
}

pub(crate) fn algorithm(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Rsa => "rsa-sha256",
        KeyKind::Ed25519 => "ed25519-sha256",
    }
}

pub(crate) fn folded(names: &[String]) -> String {
    let mut out = String::new();
    let mut line = 0;
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            out.push(':');
            line += 1;
        }
        if line + name.len() > 68 {
            out.push_str("\r\n\t ");
            line = 0;
        }
        out.push_str(name);
        line += name.len();
    }
    out
}

pub(crate) fn folded_base64(octets: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(octets);
    let lines: Vec<&str> = text.as_bytes().chunks(70).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    lines.join("\r\n\t ")
}
