//! URLAUTH (RFC 4467, RFC 5524): GENURLAUTH, URLFETCH, RESETKEY. A URL that its maker signed lets another read one message or part.
//!
//! Each person has a key of its own at each mailbox, made when first needed, kept beside the mailbox's annotations under a
//! name no client can say; it goes with the mailbox. A token is `01` and the HMAC-SHA-256 of the URL up to its access part.
//! Invariant: a URL gives what its maker may read at this moment, and only to whom it names; every other reason is NIL.

use super::failure::{Outcome, Trouble, done, done_with, no};
use super::limits;
use super::place::Placed;
use super::session::Session;
use super::url_structure;
use super::urls::Named;
use crate::context::unix_now;
use bytes::Bytes;
use ring::rand::SecureRandom;
use smol_str::SmolStr;
use std::sync::Arc;
use store::{Account, AccountId, MailboxId};
use wire::imap::acl::Right;
use wire::imap::downgrade;
use wire::imap::response::Response;
use wire::imap::url::{AccessKind, ImapUrl, UrlCommand, UrlData, UrlElement, UrlForm, UrlRequest};
use wire::imap::{Code, MailboxName};

/// The only mechanism there is (RFC 4467 section 3).
const MECHANISM: &str = "INTERNAL";
/// HMAC-SHA-256, in front of the token's own octets.
const ALGORITHM: &str = "01";
const KEY_BYTES: usize = 32;

/// URLMECH (RFC 4467 section 8).
fn url_mechanisms() -> Code {
    Code::UrlMech(vec![MECHANISM.into()])
}

impl Session {
    /// The three commands.
    pub(crate) async fn url_auth(&mut self, command: UrlCommand) -> Outcome {
        match command {
            UrlCommand::Generate(urls) => self.generate_urls(urls).await,
            UrlCommand::ResetKey { mailbox, mechanisms } => self.reset_key(mailbox, &mechanisms).await,
            UrlCommand::Fetch(urls) => self.fetch_urls(urls).await,
        }
    }

    async fn generate_urls(&mut self, urls: Vec<(String, SmolStr)>) -> Outcome {
        let mut signed = Vec::with_capacity(urls.len());
        for (text, mechanism) in urls {
            let bad = || no(Code::BadUrl(text.clone()), "That URL cannot be signed");
            if !mechanism.eq_ignore_ascii_case(MECHANISM) {
                return Err(no(url_mechanisms(), "There is no such mechanism"));
            }
            let url = ImapUrl::parse(&text).filter(|url| url.host.is_some() && self.is_ours(url)).ok_or_else(bad)?;
            let access = url.access.as_ref().filter(|access| access.authorization.is_none()).ok_or_else(bad)?;
            let account = self.account()?.clone();
            let mine = url.user.as_deref().is_some_and(|user| self.address_of(user) == account.address);
            let expires = url.expire.as_deref().is_none_or(|time| time_of(time).is_some());
            let known = !matches!(&access.kind, AccessKind::Submit(user) | AccessKind::User(user) if user.is_empty());
            if !mine || !expires || !known {
                return Err(bad());
            }
            let name = url.mailbox.as_ref().ok_or_else(bad)?;
            let found = self.find(name.as_str()).await?.filter(|placed| placed.rights.has(Right::Read)).ok_or_else(bad)?;
            if url.uid_validity.is_some_and(|validity| validity != found.mailbox.uid_validity) {
                return Err(bad());
            }
            let key = match self.url_key(&account, found.id()).await? {
                Some(key) => key,
                None => self.new_url_key(&account, &found).await?,
            };
            let token = token(&key, url.rump().ok_or_else(bad)?);
            signed.push(format!("{text}:{}:{token}", MECHANISM.to_ascii_lowercase()));
        }
        self.wire.untagged(&Response::GenUrlAuth(signed));
        done("Signed")
    }

    async fn fetch_urls(&mut self, requests: Vec<UrlRequest>) -> Outcome {
        for UrlRequest { url: text, forms } in requests {
            let data = match self.authorized(&text).await? {
                None => UrlData::Simple(None),
                Some((maker, url)) => match Box::pin(self.url_data(&maker, &url, &forms)).await {
                    Err(Trouble::No(..)) => UrlData::Simple(None),
                    other => other?,
                },
            };
            self.wire.untagged(&Response::UrlFetch(vec![(text, data)]));
            self.breathe().await?;
        }
        done("Fetched")
    }

    /// Who made the URL, if it gives whoever is signed in anything; `None` for every reason there may be.
    async fn authorized(&self, text: &str) -> Result<Option<(Arc<Account>, ImapUrl)>, Trouble> {
        let Some(url) = ImapUrl::parse(text).filter(|url| url.host.is_some() && self.is_ours(url)) else { return Ok(None) };
        let (Some(access), Some(rump), Some(user), Some(name)) = (&url.access, url.rump(), &url.user, &url.mailbox) else {
            return Ok(None);
        };
        let Some((mechanism, given)) = &access.authorization else { return Ok(None) };
        let expired = match url.expire.as_deref() {
            None => false,
            Some(time) => time_of(time).is_none_or(|time| time <= unix_now()),
        };
        let (me, maker) = (self.account()?, self.address_of(user));
        let for_me = match &access.kind {
            AccessKind::Anonymous | AccessKind::AuthUser => true,
            // Without a domain: one of its maker's. There may be somebody of that name in another.
            AccessKind::User(reader) => store::normalise(&with_domain(reader, &maker)) == me.address,
            // For a submission server's own account; there is none here.
            AccessKind::Submit(_) => false,
        };
        if expired || !for_me || !mechanism.eq_ignore_ascii_case(MECHANISM) {
            return Ok(None);
        }
        let Some(maker) = self.store().account(&maker).await?.filter(|maker| !maker.suspended) else { return Ok(None) };
        let Some(placed) = self.find_as(&maker, name.as_str()).await? else { return Ok(None) };
        let Some(key) = self.url_key(&maker, placed.id()).await? else { return Ok(None) };
        Ok(is_token(&key, rump, given).then_some((maker, url)))
    }

    /// RFC 4467 section 7, and RFC 5524 section 3.2 where forms are asked for.
    async fn url_data(&self, maker: &Account, url: &ImapUrl, forms: &[UrlForm]) -> Result<UrlData, Trouble> {
        let mut octets = self.octets_as(maker, url).await?;
        let mut plain = Vec::new();
        while let Some(piece) = self.next_octets(&mut octets, limits::PIECE_BYTES).await? {
            plain.extend_from_slice(&piece);
        }
        if forms.is_empty() {
            return Ok(UrlData::Simple(Some(plain.into())));
        }
        let gone = || no(Code::BadUrl(url.text.clone()), "There is nothing by that URL");
        let Named { account, row, section, partial } = self.named_as(maker, url).await?;
        let facts = self.store().facts(account, &[row.email]).await?.into_iter().next().flatten().ok_or_else(gone)?;
        let mut binary = None;
        if forms.contains(&UrlForm::Binary) {
            binary = self.decoded_octets((account, row), &facts, &section, partial).await?;
        }
        let structure = || {
            let (shown, decoded) = binary.as_ref().map_or((&plain, false), |(octets, decoded)| (octets, *decoded));
            url_structure::of(&facts, &section, shown, decoded, decoded || partial.is_some())
        };
        let mut elements = Vec::with_capacity(forms.len());
        for form in forms {
            elements.push(match form {
                UrlForm::Structure => {
                    let mut structure = structure().ok_or_else(gone)?;
                    if !self.wire.utf8() {
                        downgrade::downgrade_structure(&mut structure);
                    }
                    UrlElement::Structure(structure)
                }
                UrlForm::Body => UrlElement::Body(Some(plain.clone().into())),
                UrlForm::Binary => UrlElement::Binary(binary.as_ref().map(|(octets, _)| Bytes::copy_from_slice(octets))),
            });
        }
        Ok(UrlData::Extended(elements))
    }

    /// All URLs signed before are void.
    async fn reset_key(&mut self, mailbox: Option<MailboxName>, mechanisms: &[SmolStr]) -> Outcome {
        if mechanisms.iter().any(|mechanism| !mechanism.eq_ignore_ascii_case(MECHANISM)) {
            return Err(no(url_mechanisms(), "There is no such mechanism"));
        }
        let account = self.account()?.clone();
        let places = match mailbox {
            Some(name) => vec![self.find_for(name.as_str(), Right::Read).await?.id()],
            None => {
                let own = self.store().mailboxes(account.id).await?;
                let own = own.iter().map(|mailbox| (account.id, mailbox.id)).collect::<Vec<_>>();
                // Those that may be read but not listed as well.
                let others = self.store().shared_with(account.id, &account.address);
                own.into_iter().chain(others.into_iter().map(|(owner, mailbox, _)| (owner, mailbox))).collect()
            }
        };
        for place in places {
            if self.url_key(&account, place).await?.is_some() {
                let entry = (key_name(account.id), None);
                self.store().annotate(place.0, Some(place.1), &[entry]).await?;
            }
        }
        done_with(url_mechanisms(), "URLs signed before are void")
    }

    async fn url_key(&self, maker: &Account, (owner, mailbox): (AccountId, MailboxId)) -> Result<Option<Vec<u8>>, Trouble> {
        let mut all = self.store().annotations_at(owner, mailbox).await?;
        Ok(all.remove(&(Some(mailbox), key_name(maker.id))).filter(|key| key.len() == KEY_BYTES))
    }

    async fn new_url_key(&self, maker: &Account, placed: &Placed) -> Result<Vec<u8>, Trouble> {
        let mut key = vec![0; KEY_BYTES];
        let random = ring::rand::SystemRandom::new().fill(&mut key);
        random.map_err(|_| Trouble::Store(store::StoreError::Io("no random octets".into())))?;
        let entry = (key_name(maker.id), Some(key.clone()));
        self.store().annotate(placed.account, Some(placed.mailbox.id), &[entry]).await?;
        Ok(key)
    }
}

/// No client can say it: entries begin with `/`.
fn key_name(maker: AccountId) -> SmolStr {
    SmolStr::from(format!("url-key:{}", maker.0))
}

fn with_domain(user: &str, like: &str) -> String {
    let domain = like.rsplit_once('@').map_or("", |(_, domain)| domain);
    if user.contains('@') { user.to_owned() } else { format!("{user}@{domain}") }
}

fn token(key: &[u8], rump: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
    let signed = ring::hmac::sign(&key, rump.as_bytes());
    signed.as_ref().iter().fold(ALGORITHM.to_owned(), |text, octet| text + &format!("{octet:02x}"))
}

/// Compared in constant time.
fn is_token(key: &[u8], rump: &str, given: &str) -> bool {
    let Some(hex) = given.strip_prefix(ALGORITHM) else { return false };
    let octets: Option<Vec<u8>> = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| {
            std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2).and_then(|pair| u8::from_str_radix(pair, 16).ok())
        })
        .collect();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
    octets.is_some_and(|octets| ring::hmac::verify(&key, rump.as_bytes(), &octets).is_ok())
}

/// RFC 3339: `2026-12-01T00:00:00Z`, with a fraction or an offset.
fn time_of(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', 't'])?;
    let numbers = |text: &str, part: char| -> Option<Vec<i64>> {
        text.split(part).map(|word| word.parse().ok().filter(|_| word.bytes().all(|b| b.is_ascii_digit()))).collect()
    };
    let (time, offset_secs) = match time.split_at_checked(time.len().checked_sub(6)?) {
        _ if time.ends_with(['Z', 'z']) => (time.get(..time.len() - 1)?, 0),
        Some((clock, offset)) => {
            let sign = match offset.as_bytes().first()? {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let [hours, minutes] = numbers(offset.get(1..)?, ':')?[..] else { return None };
            (clock, sign * (hours * 3600 + minutes * 60))
        }
        None => return None,
    };
    let clock = time.split_once('.').map_or(time, |(clock, _)| clock);
    let [year, month, day] = numbers(date, '-')?[..] else { return None };
    let [hour, minute, second] = numbers(clock, ':')?[..] else { return None };
    let good = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !good || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since 1970 (the civil calendar, years beginning in March).
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second - offset_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_rfc_3339() {
        assert_eq!(time_of("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(time_of("2000-02-29T12:00:00Z"), Some(951_825_600));
        assert_eq!(time_of("2026-12-01T01:30:00.5+01:30"), time_of("2026-12-01T00:00:00Z"));
        for bad in
            ["", "2026-12-01", "2026-13-01T00:00:00Z", "2026-12-01T24:00:00Z", "2026-12-01T00:00:00", "x-1-1T1:1:1Z", "TZ", "Z"]
        {
            assert_eq!(time_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn secret_checks_of_a_url_s_token() {
        let url = "imap://a@b/INBOX/;UID=1;URLAUTH=anonymous";
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"key");
        let said = crate::secret_checks::three(ring::hmac::sign(&key, url.as_bytes()).as_ref())
            .map(|octets| format!("{ALGORITHM}{}", data_encoding::HEXLOWER.encode(&octets)));
        crate::secret_checks::count("a token of URLAUTH", &said, |said| {
            std::str::from_utf8(said).is_ok_and(|said| is_token(b"key", url, said))
        });
    }

    #[test]
    fn a_token_fits_its_key_and_url_alone() {
        let made = token(b"key", "imap://a@b/INBOX/;UID=1;URLAUTH=anonymous");
        assert!(is_token(b"key", "imap://a@b/INBOX/;UID=1;URLAUTH=anonymous", &made));
        assert!(!is_token(b"key", "imap://a@b/INBOX/;UID=2;URLAUTH=anonymous", &made));
        assert!(!is_token(b"other", "imap://a@b/INBOX/;UID=1;URLAUTH=anonymous", &made));
        for bad in ["", "01", "01zz", "01a", "02"] {
            assert!(!is_token(b"key", "x", bad));
        }
    }
}
