//! URLAUTH (RFC 4467): GENURLAUTH, URLFETCH, RESETKEY. A URL that its maker signed lets another read one message or part.
//!
//! Each person has a key of its own at each mailbox, made when first needed, kept beside the mailbox's annotations under a
//! name no client can say; it goes with the mailbox. A token is `01` and the HMAC-SHA-256 of the URL up to its access part.
//! Invariant: a URL gives what its maker may read at this moment, and only to whom it names; every other reason is NIL.

use super::failure::{Outcome, Trouble, done, done_with, no};
use super::limits;
use super::place::Placed;
use super::session::Session;
use crate::context::unix_now;
use bytes::Bytes;
use ring::rand::SecureRandom;
use smol_str::SmolStr;
use store::{Account, AccountId};
use wire::imap::acl::Right;
use wire::imap::response::Response;
use wire::imap::url::{AccessKind, ImapUrl, UrlCommand};
use wire::imap::{Code, MailboxName};

/// The only mechanism there is (RFC 4467 section 3).
const MECHANISM: &str = "INTERNAL";
/// HMAC-SHA-256, in front of the token's own octets.
const ALGORITHM: &str = "01";
const KEY_BYTES: usize = 32;

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
                return Err(no(Code::UrlMech(vec![MECHANISM.into()]), "There is no such mechanism"));
            }
            let url = ImapUrl::parse(&text).filter(|url| url.host.is_some() && self.is_ours(url)).ok_or_else(bad)?;
            let access = url.access.as_ref().filter(|access| access.authorization.is_none()).ok_or_else(bad)?;
            let account = self.account()?.clone();
            let mine = url.user.as_deref().is_some_and(|user| store::normalise(user) == account.address);
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
            let key = match self.url_key(&account, &found).await? {
                Some(key) => key,
                None => self.new_url_key(&account, &found).await?,
            };
            let token = token(&key, url.rump().ok_or_else(bad)?);
            signed.push(format!("{text}:{}:{token}", MECHANISM.to_ascii_lowercase()));
        }
        self.wire.untagged(&Response::GenUrlAuth(signed));
        done("Signed")
    }

    async fn fetch_urls(&mut self, urls: Vec<String>) -> Outcome {
        for text in urls {
            let octets = self.authorized(&text).await?;
            self.wire.untagged(&Response::UrlFetch(vec![(text, octets)]));
            self.breathe().await?;
        }
        done("Fetched")
    }

    /// What the URL gives to whoever is signed in; `None` for every reason there may be.
    async fn authorized(&self, text: &str) -> Result<Option<Bytes>, Trouble> {
        let Some(url) = ImapUrl::parse(text).filter(|url| url.host.is_some() && self.is_ours(url)) else { return Ok(None) };
        let (Some(access), Some(rump), Some(user), Some(name)) = (&url.access, url.rump(), &url.user, &url.mailbox) else {
            return Ok(None);
        };
        let Some((mechanism, given)) = &access.authorization else { return Ok(None) };
        let expired = match url.expire.as_deref() {
            None => false,
            Some(time) => time_of(time).is_none_or(|time| time <= unix_now()),
        };
        let me = self.account()?;
        let for_me = match &access.kind {
            AccessKind::Anonymous | AccessKind::AuthUser => true,
            AccessKind::User(user) => store::normalise(&with_domain(user, me)) == me.address,
            // For a submission server's own account; there is none here.
            AccessKind::Submit(_) => false,
        };
        if expired || !for_me || !mechanism.eq_ignore_ascii_case(MECHANISM) {
            return Ok(None);
        }
        let Some(maker) = self.store().account(user).await?.filter(|maker| !maker.suspended) else { return Ok(None) };
        let Some(placed) = self.find_as(&maker, name.as_str()).await? else { return Ok(None) };
        let Some(key) = self.url_key(&maker, &placed).await? else { return Ok(None) };
        if !is_token(&key, rump, given) {
            return Ok(None);
        }
        let mut octets = match self.octets_as(&maker, &url).await {
            Err(Trouble::No(..)) => return Ok(None),
            other => other?,
        };
        let mut all = Vec::new();
        while let Some(piece) = self.next_octets(&mut octets, limits::PIECE_BYTES).await? {
            all.extend_from_slice(&piece);
        }
        Ok(Some(Bytes::from(all)))
    }

    /// All URLs signed before are void.
    async fn reset_key(&mut self, mailbox: Option<MailboxName>, mechanisms: &[SmolStr]) -> Outcome {
        if mechanisms.iter().any(|mechanism| !mechanism.eq_ignore_ascii_case(MECHANISM)) {
            return Err(no(Code::UrlMech(vec![MECHANISM.into()]), "There is no such mechanism"));
        }
        let account = self.account()?.clone();
        let places = match mailbox {
            Some(name) => vec![self.find_for(name.as_str(), Right::Read).await?],
            None => self.all_places().await?,
        };
        for placed in places {
            if self.url_key(&account, &placed).await?.is_some() {
                let entry = (key_name(account.id), None);
                self.store().annotate(placed.account, Some(placed.mailbox.id), &[entry]).await?;
            }
        }
        done_with(Code::UrlMech(vec![MECHANISM.into()]), "URLs signed before are void")
    }

    async fn url_key(&self, maker: &Account, placed: &Placed) -> Result<Option<Vec<u8>>, Trouble> {
        let mut all = self.store().annotations_at(placed.account, placed.mailbox.id).await?;
        Ok(all.remove(&(Some(placed.mailbox.id), key_name(maker.id))).filter(|key| key.len() == KEY_BYTES))
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

fn with_domain(user: &str, like: &Account) -> String {
    let domain = like.address.rsplit_once('@').map_or("", |(_, domain)| domain);
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
