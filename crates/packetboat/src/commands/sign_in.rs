//! New passwords of an account that may have app passwords: all share SCRAM's salt, so it is asked for first.

use super::{Doer, passwords};
use crate::admin::Request;
use crate::admin::views::{AppPasswordText, SecretsText};
use data_encoding::BASE64;
use serde_json::Value;

/// SCRAM's salt and rounds, and the names taken.
async fn known(doer: &mut Doer, address: &str) -> Result<(Option<(Vec<u8>, u32)>, Vec<String>), String> {
    let answer = doer.perform(Request::AccountSalt { address: address.to_owned() }).await?;
    let salt = answer.get("salt").and_then(Value::as_str).and_then(|text| BASE64.decode(text.as_bytes()).ok());
    let rounds = answer.get("iterations").and_then(Value::as_u64).and_then(|rounds| u32::try_from(rounds).ok());
    let names = answer.get("names").cloned().and_then(|list| serde_json::from_value(list).ok()).unwrap_or_default();
    Ok((salt.zip(rounds), names))
}

/// `account password`.
pub(super) async fn new_password(doer: &mut Doer, address: &str, from_stdin: bool) -> Result<Value, String> {
    let (scram, _) = known(doer, address).await?;
    let password = if from_stdin { passwords::from_stdin()? } else { passwords::from_prompt(address)? };
    let salt = scram.as_ref().map(|(salt, _)| salt.as_slice());
    let secrets = SecretsText::from(server::auth::secrets_with_salt(password.as_bytes(), salt)?);
    doer.perform(Request::AccountPassword { address: address.to_owned(), secrets }).await
}

/// `account app-password add`: the answer has the password, this once.
pub(super) async fn new_app_password(doer: &mut Doer, address: &str, name: Option<&str>) -> Result<Value, String> {
    let (scram, taken) = known(doer, address).await?;
    let free = || (1..).map(|number| format!("app-{number}")).find(|name| !taken.contains(name)).unwrap_or_default();
    let name = name.map_or_else(free, str::to_owned);
    let scram = scram.as_ref().map(|(salt, rounds)| (salt.as_slice(), *rounds));
    let (shown, kept) = server::auth::new_app_password(&name, scram, server::context::unix_now())?;
    let request = Request::AppPasswordAdd { address: address.to_owned(), password: AppPasswordText::from(kept) };
    let mut answer = doer.perform(request).await?;
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("password".into(), shown.as_str().into());
    }
    Ok(answer)
}
