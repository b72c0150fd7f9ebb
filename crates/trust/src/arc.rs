//! ARC (RFC 8617): what those before us found, each sealing the chain so far.
//!
//! Invariant: a chain is good only as a whole; one that failed once stays failed. Must not know: whom to trust.

use crate::dkim::canon::{Canon, body_hash, field as canonical, without_b};
use crate::dkim::sign::{Signer, algorithm, folded, folded_base64, names};
use crate::dkim::signature::{Algorithm, Signature, raw, signed_data, tags_of};
use crate::dkim::{DkimResult, usable, verified};
use crate::dns::Dns;
use crate::limits::{ARC_SETS_MAX, HEADER_FIELDS_MAX};
use crate::tags::Tags;
use message::header::{Field, fields, header_end};

/// `cv=` (RFC 8617 §4.4), and our trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArcResult {
    /// No chain.
    None,
    /// Whole.
    Pass,
    /// Broken.
    Fail,
    /// DNS did not answer.
    TempError,
}

impl ArcResult {
    /// RFC 8601's word.
    pub fn word(self) -> &'static str {
        match self {
            ArcResult::None => "none",
            ArcResult::Pass => "pass",
            ArcResult::Fail => "fail",
            ArcResult::TempError => "temperror",
        }
    }
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// How it stands.
    pub result: ArcResult,
    /// Why it failed.
    pub reason: Option<String>,
    /// `d=` of each seal, the first one first.
    pub sealers: Vec<String>,
    /// What each of them wrote into ARC-Authentication-Results, without the instance.
    pub found: Vec<String>,
}

impl Chain {
    fn broken(result: ArcResult, reason: impl Into<String>, sealers: Vec<String>) -> Chain {
        Chain { result, reason: Some(reason.into()), sealers, found: Vec::new() }
    }
}

/// One instance.
struct Set<'a> {
    results: &'a Field<'a>,
    signature: &'a Field<'a>,
    seal: &'a Field<'a>,
    seal_tags: Tags,
}

const RESULTS: &str = "ARC-Authentication-Results";
const SIGNATURE: &str = "ARC-Message-Signature";
const SEAL: &str = "ARC-Seal";

/// Verifies (RFC 8617 §5.2).
pub async fn verify(dns: &dyn Dns, message: &[u8], now_secs: i64) -> Chain {
    let (header, body) = message.split_at_checked(header_end(message)).unwrap_or((message, b""));
    let all: Vec<Field<'_>> = fields(header).take(HEADER_FIELDS_MAX).collect();
    if !all.iter().any(|field| field.is(SEAL) || field.is(SIGNATURE) || field.is(RESULTS)) {
        return Chain { result: ArcResult::None, reason: None, sealers: Vec::new(), found: Vec::new() };
    }
    let sets = match collect(&all) {
        Ok(sets) => sets,
        Err(why) => return Chain::broken(ArcResult::Fail, why, Vec::new()),
    };
    let sealers: Vec<String> = sets.iter().map(|set| set.seal_tags.dense("d").unwrap_or_default().to_ascii_lowercase()).collect();
    match whole(dns, header, &all, body, &sets, now_secs).await {
        Ok(()) => {
            let found = sets.iter().filter_map(|set| results_of(set.results)).collect();
            Chain { result: ArcResult::Pass, reason: None, sealers, found }
        }
        Err((DkimResult::TempError, why)) => Chain::broken(ArcResult::TempError, why, sealers),
        Err((_, why)) => Chain::broken(ArcResult::Fail, why, sealers),
    }
}

/// All sets in order, each whole (§5.2 step 3).
fn collect<'a>(all: &'a [Field<'a>]) -> Result<Vec<Set<'a>>, String> {
    let of = |name: &str| -> Vec<(usize, &'a Field<'a>)> {
        all.iter().filter(|field| field.is(name)).take(ARC_SETS_MAX + 1).map(|field| (instance(field), field)).collect()
    };
    let (results, signatures, seals) = (of(RESULTS), of(SIGNATURE), of(SEAL));
    let count = seals.len();
    if count > ARC_SETS_MAX || results.len() != count || signatures.len() != count {
        return Err("the chain is not whole".to_owned());
    }
    let find =
        |fields: &[(usize, &'a Field<'a>)], at: usize| fields.iter().find(|(known, _)| *known == at).map(|(_, field)| *field);
    (1..=count)
        .map(|at| {
            let set = (find(&results, at), find(&signatures, at), find(&seals, at));
            let (Some(results), Some(signature), Some(seal)) = set else {
                return Err(format!("a field of instance {at} is missing"));
            };
            let seal_tags = tags_of(seal).ok_or_else(|| format!("seal {at} cannot be read"))?;
            let wanted = if at == 1 { "none" } else { "pass" };
            if !seal_tags.get("cv").is_some_and(|cv| cv.eq_ignore_ascii_case(wanted)) {
                return Err(format!("seal {at} does not say cv={wanted}"));
            }
            Ok(Set { results, signature, seal, seal_tags })
        })
        .collect()
}

/// `i=`; 0 when there is none.
fn instance(field: &Field<'_>) -> usize {
    let text = std::str::from_utf8(field.body).unwrap_or_default();
    // In ARC-Authentication-Results only the first part is a tag.
    let first =
        text.split(';').map(str::trim).find(|part| part.strip_prefix('i').is_some_and(|rest| rest.trim_start().starts_with('=')));
    first.and_then(|part| part.split_once('=')).and_then(|(_, number)| number.trim().parse().ok()).unwrap_or(0)
}

fn results_of(field: &Field<'_>) -> Option<String> {
    let value = String::from_utf8_lossy(&field.value()).into_owned();
    value.split_once(';').map(|(_, rest)| rest.trim().to_owned())
}

async fn whole(
    dns: &dyn Dns,
    header: &[u8],
    all: &[Field<'_>],
    body: &[u8],
    sets: &[Set<'_>],
    now_secs: i64,
) -> Result<(), (DkimResult, String)> {
    let bad = |why: String| (DkimResult::PermError, why);
    let Some(newest) = sets.last() else { return Err(bad("the chain is empty".to_owned())) };
    let tags = tags_of(newest.signature).ok_or_else(|| bad("the newest signature cannot be read".to_owned()))?;
    let signature = Signature::of_tags(&tags, false).map_err(|unusable| bad(unusable.why.to_owned()))?;
    if signature.headers.iter().any(|name| name == "arc-seal") {
        return Err(bad("the newest signature covers a seal".to_owned()));
    }
    usable(&signature, now_secs)?;
    let (hash, beyond) = body_hash(signature.body_canon, body, signature.length);
    if beyond > 0 || hash.as_slice() != signature.body_hash {
        return Err((DkimResult::Fail, "the body was changed".to_owned()));
    }
    let data = signed_data(header, all, &signature.headers, signature.header_canon, raw(header, newest.signature));
    verified(dns, &signature, &data).await?;
    for (index, set) in sets.iter().enumerate().rev() {
        let seal = seal_of(&set.seal_tags).ok_or_else(|| bad(format!("seal {} cannot be read", index + 1)))?;
        usable(&seal, now_secs)?;
        let data = sealed_data(header, sets.get(..=index).unwrap_or_default());
        verified(dns, &seal, &data).await.map_err(|(result, why)| (result, format!("seal {}: {why}", index + 1)))?;
    }
    Ok(())
}

/// A seal as a signature without a body.
fn seal_of(tags: &Tags) -> Option<Signature> {
    let domain = message::domain::to_ascii(&tags.dense("d")?)?;
    let selector = tags.dense("s")?;
    if !message::domain::is_domain(&domain) || !message::domain::is_domain(&selector) || tags.get("h").is_some() {
        return None;
    }
    Some(Signature {
        algorithm: Algorithm::parse(&tags.dense("a")?)?,
        signature: tags.octets("b").filter(|b| !b.is_empty())?,
        b_start: String::new(),
        body_hash: Vec::new(),
        header_canon: Canon::Relaxed,
        body_canon: Canon::Relaxed,
        domain,
        selector,
        headers: Vec::new(),
        identity: None,
        length: None,
        timestamp: tags.number("t").transpose().ok()?,
        expiration: None,
    })
}

/// §5.1.1: all sets so far, the newest seal without its `b=`.
fn sealed_data(header: &[u8], sets: &[Set<'_>]) -> Vec<u8> {
    let mut data = Vec::new();
    for (index, set) in sets.iter().enumerate() {
        canonical(Canon::Relaxed, raw(header, set.results), &mut data);
        canonical(Canon::Relaxed, raw(header, set.signature), &mut data);
        if index + 1 < sets.len() {
            canonical(Canon::Relaxed, raw(header, set.seal), &mut data);
        } else {
            canonical(Canon::Relaxed, &without_b(raw(header, set.seal)), &mut data);
            data.truncate(data.len().saturating_sub(2));
        }
    }
    data
}

/// A new set on top of `header` (RFC 8617 §5.1), with its CRLFs. `results` is the body of our Authentication-Results. `None`: the
/// chain is at its end, or failed before (nobody would believe what is added to it).
pub fn seal(header: &[u8], body: &[u8], chain: &Chain, results: &str, signer: &Signer, now_secs: i64) -> Option<String> {
    if !matches!(chain.result, ArcResult::None | ArcResult::Pass) || chain.sealers.len() >= ARC_SETS_MAX {
        return None;
    }
    let at = chain.sealers.len() + 1;
    let cv = if at == 1 { "none" } else { "pass" };
    let all: Vec<Field<'_>> = fields(header).take(HEADER_FIELDS_MAX).collect();
    let names = names(&all, &[]);
    let (hash, _) = body_hash(Canon::Relaxed, body, None);
    let (domain, selector, algorithm) = (&signer.domain, &signer.selector, algorithm(signer.key.kind()));
    let results = format!("{RESULTS}: i={at}; {}\r\n", results.trim());
    let start = format!(
        "{SIGNATURE}: i={at}; a={algorithm}; c=relaxed/relaxed;\r\n\td={domain}; s={selector}; t={};\r\n\th={};\r\n\tbh={};\r\n\tb=",
        now_secs.max(0),
        folded(&names),
        data_encoding::BASE64.encode(&hash)
    );
    let signature = signer.key.sign(&signed_data(header, &all, &names, Canon::Relaxed, start.as_bytes()))?;
    let signature = format!("{start}{}\r\n", folded_base64(&signature));
    let start = format!("{SEAL}: i={at}; a={algorithm}; t={}; cv={cv};\r\n\td={domain}; s={selector};\r\n\tb=", now_secs.max(0));
    let before = collect(&all).ok()?;
    let mut data = Vec::new();
    for set in &before {
        for field in [set.results, set.signature, set.seal] {
            canonical(Canon::Relaxed, raw(header, field), &mut data);
        }
    }
    for field in [&results, &signature, &start] {
        canonical(Canon::Relaxed, field.as_bytes(), &mut data);
    }
    data.truncate(data.len().saturating_sub(2));
    let seal = signer.key.sign(&data)?;
    Some(format!("{start}{}\r\n{signature}{results}", folded_base64(&seal)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::dkim::key::KeyKind;
    use crate::dkim::tests::{published, signer};
    use crate::dns::tests::{Table, now};

    const MESSAGE: &str = "From: Ann <ann@here.test>\r\nTo: list@lists.test\r\nSubject: hi\r\n\r\nbody\r\n";

    fn sealed(message: &str, dns: &Table, signer: &Signer, results: &str) -> String {
        let chain = now(verify(dns, message.as_bytes(), 2_000));
        let (header, body) = message.split_at(header_end(message.as_bytes()));
        format!("{}{message}", seal(header.as_bytes(), body.as_bytes(), &chain, results, signer, 1_000).unwrap())
    }

    #[test]
    fn a_chain_of_three_with_both_kinds_of_key() {
        let (one, two) = (signer(KeyKind::Ed25519, "one.test", "s"), signer(KeyKind::Rsa, "two.test", "s"));
        let dns = published(published(Table::default(), &one), &two);
        assert_eq!(now(verify(&dns, MESSAGE.as_bytes(), 2_000)).result, ArcResult::None);
        let first = sealed(MESSAGE, &dns, &one, "one.test; spf=pass smtp.mailfrom=here.test");
        let second = sealed(
            &format!("Received: by two\r\n{first}"),
            &dns,
            &two,
            "two.test; arc=pass;\r\n\tspf=fail smtp.mailfrom=here.test",
        );
        let third = sealed(&second, &dns, &one, "one.test; none");
        let chain = now(verify(&dns, third.as_bytes(), 2_000));
        assert_eq!((chain.result, &chain.reason), (ArcResult::Pass, &None));
        assert_eq!(chain.sealers, ["one.test", "two.test", "one.test"]);
        assert_eq!(chain.found[1], "two.test; arc=pass;\tspf=fail smtp.mailfrom=here.test");
        for (from, to) in [
            ("\r\nbody\r\n", "\r\nother body\r\n"),
            ("Subject: hi", "Subject: ho"),
            ("spf=pass", "spf=fail"),
            ("cv=none", "cv=pass"),
            ("cv=pass", "cv=fail"),
            ("ARC-Seal: i=2", "ARC-Seal: i=4"),
            ("ARC-Authentication-Results: i=1; one", "ARC-Authentication-Results: i=1; forged"),
        ] {
            let changed = third.replacen(from, to, 1);
            assert_ne!(changed, third);
            assert_eq!(now(verify(&dns, changed.as_bytes(), 2_000)).result, ArcResult::Fail, "{to}");
        }
        let removed = third.replacen("ARC-Message-Signature: i=1", "X-Gone: i=1", 1);
        assert_eq!(now(verify(&dns, removed.as_bytes(), 2_000)).reason.unwrap(), "the chain is not whole");
    }

    /// RFC 8617 appendix B: what the last receiver got.
    const EXAMPLE: &str = "ARC-Seal: i=3; a=rsa-sha256; cv=pass; d=clochette.example.org; s=
        clochette; t=12345; b=CU87XzXlNlk5X/yW4l73UvPUcP9ivwYWxyBWcVrRs7
        +HPx3K05nJhny2fvymbReAmOA9GTH/y+k9kEc59hAKVg==
ARC-Message-Signature: i=3; a=rsa-sha256; c=relaxed/relaxed; d=
        clochette.example.org; h=message-id:date:from:to:subject; s=
        clochette; t=12345; bh=KWSe46TZKCcDbH4klJPo+tjk5LWJnVRlP5pvjXFZY
        LQ=; b=o71vwyLsK+Wm4cOSlirXoRwzEvi0vqIjd/2/GkYFYlSd/GGfKzkAgPqxf
        K7ccBMP7Zjb/mpeggswHjEMS8x5NQ==
ARC-Authentication-Results: i=3; clochette.example.org; spf=fail
    smtp.from=jqd@d1.example; dkim=fail (512-bit key)
    header.i=@d1.example; dmarc=fail; arc=pass (as.2.gmail.example=pass,
    ams.2.gmail.example=pass, as.1.lists.example.org=pass,
    ams.1.lists.example.org=fail (message has been altered))
ARC-Seal: i=2; a=rsa-sha256; cv=pass; d=gmail.example; s=20120806; t=
        12345; b=Zpukh/kJL4Q7Kv391FKwTepgS56dgHIcdhhJZjsalhqkFIQQAJ4T9BE
        8jjLXWpRNuh81yqnT1/jHn086RwezGw==
ARC-Message-Signature: i=2; a=rsa-sha256; c=relaxed/relaxed; d=
        gmail.example; h=message-id:date:from:to:subject; s=20120806; t=
        12345; bh=KWSe46TZKCcDbH4klJPo+tjk5LWJnVRlP5pvjXFZYLQ=; b=CVoG44
        cVZvoSs2mMig2wwqPaJ4OZS5XGMCegWqQs1wvRZJS894tJM0xO1RJLgCPsBOxdA5
        9WSqI9s9DfyKDfWg==
ARC-Authentication-Results: i=2; gmail.example; spf=fail
    smtp.from=jqd@d1.example; dkim=fail (512-bit key)
    header.i=@example.org; dmarc=fail; arc=pass
    (as.1.lists.example.org=pass, ams.1.lists.example.org=pass)
ARC-Seal: i=1; a=rsa-sha256; cv=none; d=lists.example.org; s=dk-lists;
         t=12345; b=TlCCKzgk3TrAa+G77gYYO8Fxk4q/Ml0biqduZJeOYh6+0zhwQ8u/
        lHxLi21pxu347isLSuNtvIagIvAQna9a5A==
ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/relaxed; d=
        lists.example.org; h=message-id:date:from:to:subject; s=
        dk-lists; t=12345; bh=KWSe46TZKCcDbH4klJPo+tjk5LWJnVRlP5pvjXFZYL
        Q=; b=DsoD3n3hiwlrN1ma8IZQFgZx8EDO7Wah3hUjIEsYKuShRKYB4LwGUiKD5Y
        yHgcIwGHhSc/4+ewYqHMWDnuFxiQ==
ARC-Authentication-Results: i=1; lists.example.org; spf=pass
    smtp.mfrom=jqd@d1.example; dkim=pass (512-bit key)
    header.i=@d1.example; dmarc=pass
Message-ID: <54B84785.1060301@d1.example>
Date: Thu, 14 Jan 2015 15:00:01 -0800
From: John Q Doe <jqd@d1.example>
To: arc@dmarc.example
Subject: [List 2] Example 1

Hey gang,
This is a test message.
--J.
";

    /// The RFC prints no keys, and they had 512 bits, which nobody believes any more (RFC 8301): what can be held against it is the order of the
    /// chain and the hash of the body. All that is missing in the end is the newest sealer's key.
    #[test]
    fn the_message_of_rfc_8617() {
        let message = EXAMPLE.replace('\n', "\r\n");
        let sealers = ["lists.example.org", "gmail.example", "clochette.example.org"];
        let silent = Table::default().broken("clochette._domainkey.clochette.example.org");
        let chain = now(verify(&silent, message.as_bytes(), 20_000));
        assert_eq!(
            (chain.result, chain.sealers.as_slice()),
            (ArcResult::TempError, &sealers.map(str::to_owned)[..]),
            "{chain:?}"
        );
        let without = now(verify(&Table::default(), message.as_bytes(), 20_000));
        assert_eq!(without.result, ArcResult::Fail);
        assert_ne!(without.reason.as_deref(), Some("the body was changed"));
        let changed = message.replace("test message", "best message");
        let chain = now(verify(&silent, changed.as_bytes(), 20_000));
        assert_eq!((chain.result, chain.reason.as_deref()), (ArcResult::Fail, Some("the body was changed")));
        let cut = message.replacen("ARC-Seal: i=2", "X-Seal: i=2", 1);
        assert_eq!(now(verify(&silent, cut.as_bytes(), 20_000)).reason.as_deref(), Some("the chain is not whole"));
    }

    #[test]
    fn a_broken_chain_is_not_sealed_and_trouble_is_temporary() {
        let one = signer(KeyKind::Ed25519, "one.test", "s");
        let dns = published(Table::default(), &one);
        let good = sealed(MESSAGE, &dns, &one, "one.test; none");
        let broken = good.replace("body", "another body");
        let chain = now(verify(&dns, broken.as_bytes(), 2_000));
        assert_eq!(chain.result, ArcResult::Fail);
        assert_eq!(seal(b"From: a@b\r\n\r\n", b"", &chain, "x; none", &one, 0), None);
        let dns = Table::default().broken("s._domainkey.one.test");
        assert_eq!(now(verify(&dns, good.as_bytes(), 2_000)).result, ArcResult::TempError);
        assert_eq!(now(verify(&Table::default(), good.as_bytes(), 2_000)).result, ArcResult::Fail);
    }

    #[test]
    fn too_many_instances() {
        let set = |n: usize| {
            format!(
                "ARC-Seal: i={n}; cv=pass; a=rsa-sha256; b=AA==; d=x.test; s=s\r\nARC-Message-Signature: i={n}; x=y\r\nARC-Authentication-Results: i={n}; x.test; none\r\n"
            )
        };
        let header: String = (1..=51).map(set).collect();
        let chain = now(verify(&Table::default(), format!("{header}\r\n").as_bytes(), 0));
        assert_eq!(chain.result, ArcResult::Fail);
    }
}
