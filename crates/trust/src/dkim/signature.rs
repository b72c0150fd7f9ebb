//! The DKIM-Signature field read (RFC 6376 §3.5), and its cousin in ARC (RFC 8617 §4.1.2).
//!
//! Invariant: what RFC 6376 §6.1.1 wants is checked here, before anybody is asked for a key.

use super::canon::{self, Canon};
use crate::limits::{DKIM_FIELD_BYTES_MAX, DKIM_HEADERS_MAX};
use crate::spf::is_under;
use crate::tags::Tags;
use message::header::Field;

/// `a=`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RFC 6376 §3.3.2.
    RsaSha256,
    /// RFC 8463.
    Ed25519Sha256,
    /// RFC 8301 §3.1: must not be used any more.
    RsaSha1,
}

impl Algorithm {
    /// The word of `a=`.
    pub fn word(self) -> &'static str {
        match self {
            Algorithm::RsaSha256 => "rsa-sha256",
            Algorithm::Ed25519Sha256 => "ed25519-sha256",
            Algorithm::RsaSha1 => "rsa-sha1",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Algorithm> {
        match word.to_ascii_lowercase().as_str() {
            "rsa-sha256" => Some(Algorithm::RsaSha256),
            "ed25519-sha256" => Some(Algorithm::Ed25519Sha256),
            "rsa-sha1" => Some(Algorithm::RsaSha1),
            _ => None,
        }
    }
}

/// A signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// `a=`
    pub algorithm: Algorithm,
    /// `b=`
    pub signature: Vec<u8>,
    /// The first characters of `b=`, which tell signatures apart (RFC 6008).
    pub b_start: String,
    /// `bh=`
    pub body_hash: Vec<u8>,
    /// `c=`, the header's half.
    pub header_canon: Canon,
    /// `c=`, the body's half.
    pub body_canon: Canon,
    /// `d=`, lower-case.
    pub domain: String,
    /// `s=`
    pub selector: String,
    /// `h=`, lower-case.
    pub headers: Vec<String>,
    /// `i=` as written; its domain is `domain` or below it.
    pub identity: Option<String>,
    /// `l=`
    pub length: Option<u64>,
    /// `t=`
    pub timestamp: Option<u64>,
    /// `x=`
    pub expiration: Option<u64>,
}

/// What of a signature that cannot be used is still known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unusable {
    /// Why.
    pub why: &'static str,
    /// `d=`, if there is one.
    pub domain: String,
    /// `s=`, if there is one.
    pub selector: String,
}

impl Signature {
    /// `DKIM-Signature`.
    pub fn parse(field: &Field<'_>) -> Result<Signature, Unusable> {
        let tags = tags_of(field).ok_or(Unusable { why: "the signature is no list of tags", ..Unusable::default() })?;
        Signature::of_tags(&tags, true)
    }

    pub(crate) fn of_tags(tags: &Tags, versioned: bool) -> Result<Signature, Unusable> {
        let domain = tags.dense("d").unwrap_or_default();
        let domain = message::domain::to_ascii(&domain).unwrap_or(domain);
        let selector = tags.dense("s").unwrap_or_default();
        let selector = message::domain::to_ascii(&selector).unwrap_or(selector);
        let no = |why| Unusable { why, domain: domain.clone(), selector: selector.clone() };
        if versioned && tags.get("v") != Some("1") {
            return Err(no("the signature is of another version"));
        }
        if !message::domain::is_domain(&domain) || !message::domain::is_domain(&selector) {
            return Err(no("the signer or the selector is no name"));
        }
        let algorithm = tags.dense("a").and_then(|word| Algorithm::parse(&word)).ok_or(no("the algorithm is unknown"))?;
        let signature = tags.octets("b").filter(|b| !b.is_empty()).ok_or(no("the signature is missing"))?;
        let body_hash = tags.octets("bh").filter(|bh| !bh.is_empty()).ok_or(no("the body hash is missing"))?;
        let (header_canon, body_canon) = canons(tags.dense("c").as_deref()).ok_or(no("the canonicalization is unknown"))?;
        let headers = tags.list("h").ok_or(no("the list of signed fields is missing"))?;
        if headers.len() > DKIM_HEADERS_MAX || !headers.iter().any(|name| name == "from") {
            return Err(no("From is not signed"));
        }
        if tags.list("q").is_some_and(|methods| !methods.iter().any(|method| method == "dns/txt")) {
            return Err(no("the key is not in DNS"));
        }
        let number = |name: &str| tags.number(name).transpose().map_err(|()| no("a number cannot be read"));
        let (length, timestamp, expiration) = (number("l")?, number("t")?, number("x")?);
        if let (Some(from), Some(to)) = (timestamp, expiration)
            && to <= from
        {
            return Err(no("the signature expires before it is made"));
        }
        // In ARC `i=` is the instance.
        let identity = tags.dense("i").filter(|_| versioned);
        if let Some(identity) = &identity {
            let of = identity.rsplit_once('@').map(|(_, domain)| message::domain::to_ascii(domain).unwrap_or_default());
            if !of.is_some_and(|of| is_under(&of, &domain)) {
                return Err(no("the identity is not of the signer's domain"));
            }
        }
        let b_start = tags.dense("b").unwrap_or_default().chars().take(8).collect();
        Ok(Signature {
            algorithm,
            signature,
            b_start,
            body_hash,
            header_canon,
            body_canon,
            domain: domain.clone(),
            selector: selector.clone(),
            headers,
            identity,
            length,
            timestamp,
            expiration,
        })
    }

    /// The name of the key record (§3.6.2.1).
    pub fn key_name(&self) -> String {
        format!("{}._domainkey.{}", self.selector, self.domain)
    }

    /// What is signed (§3.7): the fields of `h=` from the bottom up, and the signature field itself without its `b=`.
    pub fn signed_data(&self, header: &[u8], fields: &[Field<'_>], own: &Field<'_>) -> Vec<u8> {
        signed_data(header, fields, &self.headers, self.header_canon, raw(header, own))
    }
}

/// `own` is the signature field's octets.
pub(crate) fn signed_data(header: &[u8], fields: &[Field<'_>], names: &[String], canon: Canon, own: &[u8]) -> Vec<u8> {
    let mut used = vec![false; fields.len()];
    let mut data = Vec::new();
    for name in names {
        let found = fields.iter().enumerate().rev().find(|(index, field)| used.get(*index) == Some(&false) && field.is(name));
        if let Some((index, field)) = found {
            if let Some(used) = used.get_mut(index) {
                *used = true;
            }
            canon::field(canon, raw(header, field), &mut data);
        }
    }
    canon::field(canon, &canon::without_b(own), &mut data);
    data.truncate(data.len().saturating_sub(2));
    data
}

/// The octets of a field, its line end included.
pub(crate) fn raw<'h>(header: &'h [u8], field: &Field<'_>) -> &'h [u8] {
    header.get(field.start..field.end).unwrap_or_default()
}

pub(crate) fn tags_of(field: &Field<'_>) -> Option<Tags> {
    if field.body.len() > DKIM_FIELD_BYTES_MAX {
        return None;
    }
    Tags::parse(std::str::from_utf8(field.body).ok()?)
}

fn canons(text: Option<&str>) -> Option<(Canon, Canon)> {
    let Some(text) = text else { return Some((Canon::Simple, Canon::Simple)) };
    match text.split_once('/') {
        Some((header, body)) => Some((Canon::parse(header)?, Canon::parse(body)?)),
        None => Some((Canon::parse(text)?, Canon::Simple)),
    }
}
