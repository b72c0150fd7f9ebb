//! DKIM (RFC 6376, 8301, 8463): verifying each signature of a message, and signing.
//!
//! Invariant: a signature passes only when its key is in DNS, large enough, for mail, and everything it covers is as it was signed;
//! a signature that leaves part of the body uncovered does not count (`policy`). Must not know: what a pass is worth (DMARC's).

pub mod canon;
mod der;
pub mod key;
pub mod private;
pub mod sign;
pub mod signature;

use crate::dns::{Dns, DnsError, together};
use crate::limits::{DKIM_KEYS_MAX, DKIM_SIGNATURES_MAX, HEADER_FIELDS_MAX};
use canon::body_hash;
use key::{KeyProblem, KeyRecord};
use message::header::{Field, fields, header_end};
use signature::{Algorithm, Signature, Unusable};

/// RFC 8601 §2.7.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DkimResult {
    /// Signed, and as it was.
    Pass,
    /// Changed, expired, or by another key.
    Fail,
    /// Signed, but not in a way that counts here.
    Policy,
    /// The signature means nothing to us.
    Neutral,
    /// DNS did not answer.
    TempError,
    /// It can never be verified.
    PermError,
}

impl DkimResult {
    /// RFC 8601's word.
    pub fn word(self) -> &'static str {
        match self {
            DkimResult::Pass => "pass",
            DkimResult::Fail => "fail",
            DkimResult::Policy => "policy",
            DkimResult::Neutral => "neutral",
            DkimResult::TempError => "temperror",
            DkimResult::PermError => "permerror",
        }
    }
}

/// What became of one signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The result.
    pub result: DkimResult,
    /// `d=`, lower-case; may be empty when it could not be read.
    pub domain: String,
    /// `s=`
    pub selector: String,
    /// `i=`
    pub identity: Option<String>,
    /// `a=`
    pub algorithm: Option<Algorithm>,
    /// The start of `b=`.
    pub b_start: String,
    /// Why it did not pass.
    pub reason: Option<String>,
    /// The signer is only trying (`t=y`).
    pub testing: bool,
}

/// Verifies the signatures of a message, the topmost first; empty when there is none.
pub async fn verify(dns: &dyn Dns, message: &[u8], now_secs: i64) -> Vec<Outcome> {
    let (header, body) = message.split_at_checked(header_end(message)).unwrap_or((message, b""));
    let all: Vec<Field<'_>> = fields(header).take(HEADER_FIELDS_MAX).collect();
    let signed: Vec<&Field<'_>> = all.iter().filter(|field| field.is("DKIM-Signature")).take(DKIM_SIGNATURES_MAX).collect();
    together(signed.into_iter().map(|field| one(dns, header, &all, field, body, now_secs))).await
}

async fn one(dns: &dyn Dns, header: &[u8], all: &[Field<'_>], field: &Field<'_>, body: &[u8], now_secs: i64) -> Outcome {
    let signature = match Signature::parse(field) {
        Ok(signature) => signature,
        Err(unusable) => return useless(unusable),
    };
    let mut testing = false;
    let checked = check(dns, header, all, field, body, now_secs, &signature, &mut testing).await;
    let (result, reason) = match checked {
        Ok(()) => (DkimResult::Pass, None),
        Err((result, reason)) => (result, Some(reason)),
    };
    Outcome {
        result,
        domain: signature.domain,
        selector: signature.selector,
        identity: signature.identity,
        algorithm: Some(signature.algorithm),
        b_start: signature.b_start,
        reason,
        testing,
    }
}

fn useless(unusable: Unusable) -> Outcome {
    Outcome {
        result: DkimResult::PermError,
        domain: unusable.domain,
        selector: unusable.selector,
        identity: None,
        algorithm: None,
        b_start: String::new(),
        reason: Some(unusable.why.to_owned()),
        testing: false,
    }
}

/// Seconds that clocks may differ by.
const SKEW_SECS: i64 = 24 * 3600;

#[allow(clippy::too_many_arguments)]
async fn check(
    dns: &dyn Dns,
    header: &[u8],
    all: &[Field<'_>],
    field: &Field<'_>,
    body: &[u8],
    now_secs: i64,
    signature: &Signature,
    testing: &mut bool,
) -> Result<(), (DkimResult, String)> {
    usable(signature, now_secs)?;
    let (hash, beyond) = body_hash(signature.body_canon, body, signature.length);
    if hash.as_slice() != signature.body_hash {
        return Err((DkimResult::Fail, "the body was changed".to_owned()));
    }
    let data = signature.signed_data(header, all, field);
    *testing = verified(dns, signature, &data).await?;
    if beyond > 0 {
        return Err((DkimResult::Policy, format!("{beyond} octets of the body are not signed")));
    }
    Ok(())
}

/// What needs no key.
pub(crate) fn usable(signature: &Signature, now_secs: i64) -> Result<(), (DkimResult, String)> {
    if signature.algorithm == Algorithm::RsaSha1 {
        return Err((DkimResult::Policy, "rsa-sha1 does not count any more".to_owned()));
    }
    let now = u64::try_from(now_secs).unwrap_or(0);
    if signature.expiration.is_some_and(|until| until < now) {
        return Err((DkimResult::Fail, "the signature has expired".to_owned()));
    }
    let latest = u64::try_from(now_secs.saturating_add(SKEW_SECS)).unwrap_or(0);
    if signature.timestamp.is_some_and(|made| made > latest) {
        return Err((DkimResult::Neutral, "the signature is from the future".to_owned()));
    }
    Ok(())
}

/// Asks for the key and checks the signature with it; `Ok(testing)`.
pub(crate) async fn verified(dns: &dyn Dns, signature: &Signature, data: &[u8]) -> Result<bool, (DkimResult, String)> {
    let texts = match dns.txt(&signature.key_name()).await {
        Ok(texts) => texts,
        Err(DnsError::NotFound | DnsError::NoData) => return Err((DkimResult::PermError, "there is no key".to_owned())),
        Err(error) => return Err((DkimResult::TempError, error.to_string())),
    };
    let mut problem = (DkimResult::PermError, "there is no key".to_owned());
    for text in texts.iter().take(DKIM_KEYS_MAX) {
        let key = match KeyRecord::parse(text) {
            Ok(key) => key,
            Err(why) => {
                problem = (DkimResult::PermError, why.to_owned());
                continue;
            }
        };
        if key.public.is_empty() {
            problem = (DkimResult::PermError, "the key is revoked".to_owned());
            continue;
        }
        if key.strict && signature.identity.as_deref().is_some_and(|identity| !is_of(identity, &signature.domain)) {
            problem = (DkimResult::PermError, "the key is not for domains below its own".to_owned());
            continue;
        }
        match key.verify(signature.algorithm, data, &signature.signature) {
            Ok(()) => return Ok(key.testing),
            Err(KeyProblem::Bad(why)) => problem = (DkimResult::PermError, why.to_owned()),
            Err(KeyProblem::TooSmall(bits)) => {
                problem = (DkimResult::Policy, format!("the key has only {bits} bits"));
            }
            Err(KeyProblem::Mismatch) => {
                problem = (DkimResult::Fail, "the header was changed, or another key signed it".to_owned());
            }
        }
    }
    Err(problem)
}

fn is_of(identity: &str, domain: &str) -> bool {
    identity.rsplit_once('@').is_some_and(|(_, of)| of.eq_ignore_ascii_case(domain))
}

#[cfg(test)]
pub(crate) mod tests;
