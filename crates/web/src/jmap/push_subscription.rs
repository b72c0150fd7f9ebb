//! PushSubscription (RFC 8620 §7.2): a push service is told that something changed, when nobody has the program open.
//!
//! Invariant: nothing but one verification goes to an address before it said its code; what is told is the state of types,
//! never what is in a message; a subscription ends with the sign-in that made it. Must not know: what a push service is.

use super::args::{Args, utc_date};
use super::failure::{MethodError, SetError};
use super::push::still_good;
use super::setting::{id_or_created, objects, only, whole_properties, without_same};
use super::{Context, Object};
use crate::collections::PUSH_SUBSCRIPTIONS as COLLECTION;
use crate::limits::*;
use crate::push_service::{AUTH_BYTES, BrowserKeys, POINT_BYTES, encrypt};
use crate::site::{Shared, SignedIn, Site};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use net::outside::Reach;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use store::{AccountId, StoreError, UnixSecs};

const PROPERTIES: [&str; 5] = ["id", "deviceClientId", "verificationCode", "expires", "types"];
/// Of the record.
const VERSION: u64 = 1;

/// A record.
pub(super) struct Kept {
    device: String,
    pub(super) url: String,
    pub(super) keys: Option<BrowserKeys>,
    pub(super) code: String,
    pub(super) verified: bool,
    expires_secs: UnixSecs,
    pub(super) types: Option<BTreeSet<String>>,
    /// Of the sign-in that made it.
    epoch: u64,
    session: Option<String>,
    /// The key of ours that the browser tied it to; `None`: made by a release that did not say.
    vapid: Option<String>,
}

impl Kept {
    pub(super) fn read(stored: &[u8]) -> Option<Kept> {
        let value: Value = serde_json::from_slice(stored).ok()?;
        if value.get("v")?.as_u64()? != VERSION {
            return None;
        }
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let octets = |name: &str| BASE64URL_NOPAD.decode(text(name)?.as_bytes()).ok();
        let types = value.get("types").and_then(Value::as_array);
        Some(Kept {
            device: text("device")?,
            url: text("url")?,
            keys: octets("p256dh").zip(octets("auth")).map(|(p256dh, auth)| BrowserKeys { p256dh, auth }),
            code: text("code")?,
            verified: value.get("verified")?.as_bool()?,
            expires_secs: value.get("expires")?.as_i64()?,
            types: types.map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
            epoch: value.get("epoch")?.as_u64()?,
            session: text("session"),
            vapid: text("vapid"),
        })
    }

    fn written(&self) -> Vec<u8> {
        let (p256dh, auth) = match &self.keys {
            Some(BrowserKeys { p256dh, auth }) => (json!(BASE64URL_NOPAD.encode(p256dh)), json!(BASE64URL_NOPAD.encode(auth))),
            None => (Value::Null, Value::Null),
        };
        let value = json!({
            "v": VERSION, "device": self.device, "url": self.url, "p256dh": p256dh, "auth": auth, "code": self.code,
            "verified": self.verified, "expires": self.expires_secs, "types": self.types, "epoch": self.epoch, "session": self.session,
            "vapid": self.vapid,
        });
        value.to_string().into_bytes()
    }

    /// Hashes are compared in constant time.
    fn is_verified_by(&self, code: &str) -> bool {
        blake3::hash(code.as_bytes()) == blake3::hash(self.code.as_bytes())
    }

    fn shown(&self, id: &str) -> Object {
        let value = json!({
            "id": id, "deviceClientId": self.device, "verificationCode": if self.verified { json!(self.code) } else { Value::Null },
            "expires": message::date::format_rfc_3339(self.expires_secs), "types": self.types,
        });
        value.as_object().cloned().unwrap_or_default()
    }
}

pub(super) async fn all(site: &Site, account: AccountId) -> Result<Vec<(String, Kept)>, StoreError> {
    let stored = site.store.records(account, COLLECTION).await?;
    Ok(stored.iter().filter_map(|(id, stored)| Some((id.to_string(), Kept::read(stored)?))).collect())
}

pub(super) async fn keep(site: &Site, account: AccountId, id: &str, kept: Option<&Kept>) -> Result<(), StoreError> {
    site.store.records_change(account, &[(COLLECTION, id.into(), kept.map(Kept::written))]).await.map(drop)
}

/// `PushSubscription/get`: of no account, and without a state (§7.2.1).
pub(super) async fn get(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let ids = args.ids()?;
    let properties = args.texts("properties")?;
    args.end()?;
    // What a subscription leads to is told to nobody, not to its owner either.
    if properties.as_ref().is_some_and(|names| names.iter().any(|name| matches!(name.as_str(), "url" | "keys"))) {
        return Err(MethodError::new("forbidden"));
    }
    if properties.as_ref().is_some_and(|names| names.iter().any(|name| !PROPERTIES.contains(&name.as_str()))) {
        return Err(MethodError::arguments("there is no such property"));
    }
    // "The server MUST only return push subscriptions that were created using the same authentication credentials."
    let mut all = all(context.site, context.account.id).await?;
    all.retain(|(_, kept)| kept.session.as_deref() == context.session);
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    for id in ids.unwrap_or_else(|| all.iter().map(|(id, _)| id.clone()).collect()) {
        let Some((_, kept)) = all.iter().find(|(known, _)| *known == id) else {
            not_found.push(id);
            continue;
        };
        let mut object = kept.shown(&id);
        object.retain(|name, _| name == "id" || properties.as_ref().is_none_or(|names| names.contains(name)));
        list.push(Value::Object(object));
    }
    Ok(json!({"list": list, "notFound": not_found}).as_object().cloned().unwrap_or_default())
}

/// `PushSubscription/set` (§7.2.2)
pub(super) async fn set(context: &mut Context<'_>, mut args: Args) -> Result<Object, MethodError> {
    let (create, update) = (objects(&mut args, "create")?, objects(&mut args, "update")?);
    let destroy = args.texts("destroy")?.unwrap_or_default();
    args.end()?;
    if create.len() + update.len() + destroy.len() > SET_MAX {
        return Err(MethodError::new("requestTooLarge"));
    }
    let mut answer = Object::new();
    let mut note = |group: &str, id: String, value: Value| {
        let group = answer.entry(group.to_owned()).or_insert_with(|| json!({}));
        if let Some(group) = group.as_object_mut() {
            group.insert(id, value);
        }
    };
    for (creation, object) in create {
        match made(context, &object).await {
            Ok((id, kept)) => {
                context.created.insert(creation.clone(), id.clone());
                // "Any properties [...] that were not sent by the client."
                let mut made = json!({"id": id, "expires": message::date::format_rfc_3339(kept.expires_secs)});
                for name in ["keys", "types"].into_iter().filter(|name| !object.contains_key(*name)) {
                    made[name] = Value::Null;
                }
                note("created", creation, made);
            }
            Err(error) => note("notCreated", creation, error.into_value()),
        }
    }
    for (id, patch) in update {
        let id = id_or_created(context, &id).unwrap_or(id);
        match updated(context, &id, patch).await {
            Ok(value) => note("updated", id, value),
            Err(error) => note("notUpdated", id, error.into_value()),
        }
    }
    let mut gone = Vec::new();
    for id in destroy {
        let id = id_or_created(context, &id).unwrap_or(id);
        if context.site.store.record(context.account.id, COLLECTION, &id).await?.is_some() {
            keep(context.site, context.account.id, &id, None).await?;
            gone.push(id);
        } else {
            note("notDestroyed", id, SetError::new("notFound").into_value());
        }
    }
    if !gone.is_empty() {
        answer.insert("destroyed".into(), json!(gone));
    }
    for name in ["created", "updated", "destroyed", "notCreated", "notUpdated", "notDestroyed"] {
        answer.entry(name).or_insert(Value::Null);
    }
    Ok(answer)
}

fn wrong(name: &'static str, why: &str) -> SetError {
    SetError::properties(&[name], why)
}

/// Where it leads, if a push service may be there.
fn url_of(site: &Site, value: Option<&Value>) -> Result<String, SetError> {
    let url = value.and_then(Value::as_str).unwrap_or_default();
    // In a trial no host has a certificate.
    let is_safe = url.starts_with("https://") || site.pushes.reach() == Reach::Loopback && url.starts_with("http://");
    let is_plain = url.len() <= PUSH_URL_BYTES_MAX && !url.contains(|c: char| c.is_control() || c.is_whitespace());
    if is_safe && is_plain { Ok(url.to_owned()) } else { Err(wrong("url", "it begins with https://")) }
}

fn keys_of(value: Option<&Value>) -> Result<Option<BrowserKeys>, SetError> {
    let Some(keys) = value.filter(|keys| !keys.is_null()) else { return Ok(None) };
    let octets = |name: &str| {
        let text = keys.get(name).and_then(Value::as_str)?.trim_end_matches('=');
        BASE64URL_NOPAD.decode(text.as_bytes()).ok()
    };
    let keys = octets("p256dh").zip(octets("auth")).map(|(p256dh, auth)| BrowserKeys { p256dh, auth });
    let keys = keys.filter(|keys| keys.p256dh.len() == POINT_BYTES && keys.auth.len() == AUTH_BYTES);
    // To one off the curve nothing could ever be said.
    let keys = keys.filter(|keys| encrypt(b"", keys).is_some());
    keys.map(Some).ok_or_else(|| wrong("keys", "they are p256dh, a point of P-256, and auth, 16 octets"))
}

fn types_of(value: Option<&Value>) -> Result<Option<BTreeSet<String>>, SetError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) if list.len() <= 32 => {
            let names: Option<BTreeSet<String>> = list.iter().map(|name| name.as_str().map(str::to_owned)).collect();
            names.map(Some).ok_or_else(|| wrong("types", "they are names"))
        }
        Some(_) => Err(wrong("types", "they are a list of names")),
    }
}

fn expires_of(value: Option<&Value>, now_secs: UnixSecs) -> Result<UnixSecs, SetError> {
    let most = now_secs + PUSH_SECS_MAX;
    match value {
        None | Some(Value::Null) => Ok(most),
        Some(Value::String(text)) => {
            let secs = utc_date(text).ok_or_else(|| wrong("expires", "it is a time in UTC"))?.min(most);
            if secs > now_secs { Ok(secs) } else { Err(wrong("expires", "it is over already")) }
        }
        Some(_) => Err(wrong("expires", "it is a time in UTC")),
    }
}

fn random(octets: usize) -> Result<String, SetError> {
    let mut chance = vec![0u8; octets];
    SystemRandom::new().fill(&mut chance).map_err(|_| SetError::new("serverFail"))?;
    Ok(HEXLOWER.encode(&chance))
}

async fn made(context: &Context<'_>, object: &Object) -> Result<(String, Kept), SetError> {
    let (site, account) = (context.site, context.account);
    // "MUST be null (or omitted) when the subscription is created."
    let may_be_said = object.get("verificationCode").is_some_and(Value::is_null).then_some("verificationCode");
    let known: Vec<&str> = ["deviceClientId", "url", "keys", "expires", "types"].into_iter().chain(may_be_said).collect();
    only(object, &known)?;
    let now_secs = net::clock::unix_now();
    let device = object.get("deviceClientId").and_then(Value::as_str).filter(|id| !id.is_empty() && id.len() <= 255);
    let kept = Kept {
        device: device.ok_or_else(|| wrong("deviceClientId", "it names the device"))?.to_owned(),
        url: url_of(site, object.get("url"))?,
        keys: keys_of(object.get("keys"))?,
        code: random(16)?,
        verified: false,
        expires_secs: expires_of(object.get("expires"), now_secs)?,
        types: types_of(object.get("types"))?,
        epoch: account.epoch,
        session: context.session.map(str::to_owned),
        vapid: site.pushes.public_key(&site.store).await.ok(),
    };
    let there = all(site, account.id).await?;
    // A device that asks again has forgotten its last subscription, or its address is another one now.
    let (over, others): (Vec<_>, Vec<_>) =
        there.iter().partition(|(_, other)| other.device == kept.device || other.expires_secs <= now_secs);
    if others.len() >= PUSH_SUBSCRIPTIONS_MAX {
        return Err(SetError::new("overQuota"));
    }
    if !site.looks.take(account.id, now_secs) {
        return Err(SetError::new("rateLimit"));
    }
    for (id, _) in over {
        keep(site, account.id, id, None).await?;
    }
    let id = format!("w{}", random(8)?);
    keep(site, account.id, &id, Some(&kept)).await?;
    super::pushing::verify(context.shared, account.id, &id);
    Ok((id, kept))
}

async fn updated(context: &Context<'_>, id: &str, patch: Object) -> Result<Value, SetError> {
    let stored = context.site.store.record(context.account.id, COLLECTION, id).await?;
    let mut kept = stored.as_deref().and_then(Kept::read).ok_or_else(|| SetError::new("notFound"))?;
    let mut answer = Value::Null;
    let present = kept.shown(id);
    // What is there already may be said again.
    let patch = without_same(whole_properties(patch, &present)?, Some(&Value::Object(present)));
    only(&patch, &["verificationCode", "expires", "types"])?;
    for (name, value) in &patch {
        match name.as_str() {
            "verificationCode" => {
                let said = value.as_str().unwrap_or_default();
                if !kept.is_verified_by(said) {
                    return Err(wrong("verificationCode", "that is not the code that was sent"));
                }
                kept.verified = true;
            }
            "expires" => {
                kept.expires_secs = expires_of(Some(value), net::clock::unix_now())?;
                answer = json!({"expires": message::date::format_rfc_3339(kept.expires_secs)});
            }
            _ => kept.types = types_of(Some(value))?,
        }
    }
    keep(context.site, context.account.id, id, Some(&kept)).await?;
    if kept.verified {
        super::pushing::watch(context.shared, context.account.id);
    }
    Ok(answer)
}

/// Those whose time and sign-in are not over; the others are removed.
pub(super) async fn good(site: &Shared, account: AccountId) -> Result<Vec<(String, Kept)>, StoreError> {
    let now = site.store.account_by_id(account).await?;
    // "The server MUST destroy push subscriptions that use the old key" (RFC 9749 §5).
    let key = site.pushes.public_key(&site.store).await.ok();
    let is_tied = |kept: &Kept| kept.vapid.is_none() || key.is_none() || kept.vapid == key;
    let mut left = Vec::new();
    for (id, kept) in all(site, account).await? {
        let is_good = match &now {
            Some(now) if now.epoch == kept.epoch && is_tied(&kept) && kept.expires_secs > net::clock::unix_now() => {
                still_good(site, &SignedIn::new(now.clone(), kept.session.clone(), None)).await
            }
            _ => false,
        };
        if is_good {
            left.push((id, kept));
        } else {
            keep(site, account, &id, None).await?;
        }
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn secret_checks_of_a_push_subscription_s_code() {
        let stored = json!({
            "v": VERSION, "device": "phone", "url": "https://push.test/", "code": "0123456789abcdef0123456789abcdef", "verified": false,
            "expires": 0, "epoch": 0,
        });
        let kept = Kept::read(stored.to_string().as_bytes()).unwrap();
        crate::secret_checks::count("a push subscription's code", &crate::secret_checks::three(kept.code.as_bytes()), |said| {
            kept.is_verified_by(std::str::from_utf8(said).unwrap())
        });
    }
}
