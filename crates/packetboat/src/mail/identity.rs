//! Who one writes as: the account's own address first, then further ones, each with a name and a signature.
//!
//! Must not know: how a message is sent.

use super::profile::{Profile, Profiles};
use crate::cli::IdentityCommand;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;

/// One of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Identity {
    pub(super) address: String,
    pub(super) name: Option<String>,
    pub(super) signature: Option<String>,
}

impl Profile {
    /// All of them.
    pub(super) fn identities(&self) -> Vec<Identity> {
        let own = Identity { address: self.address.clone(), name: self.name.clone(), signature: self.signature.clone() };
        std::iter::once(own).chain(self.further.iter().cloned()).collect()
    }

    /// The one with this address; the first without.
    pub(super) fn identity(&self, address: Option<&str>) -> Result<Identity, String> {
        let all = self.identities();
        let wanted = |one: &&Identity| address.is_none_or(|address| one.address.eq_ignore_ascii_case(address));
        all.iter().find(wanted).cloned().ok_or_else(|| {
            let address = address.unwrap_or_default();
            format!("{address} is no identity of {}; `packetboat mail identity add` makes one", self.address)
        })
    }

    /// The first that one of these addresses names.
    pub(super) fn written_to(&self, addresses: &[String]) -> Option<Identity> {
        let named = |one: &Identity| {
            let own = one.address.to_lowercase();
            addresses.iter().any(|text| text.to_lowercase().split(['<', '>', ' ', ',']).any(|word| word == own))
        };
        self.identities().into_iter().find(named)
    }
}

/// The text of a signature's file.
pub(super) fn signature(file: Option<&Path>) -> Result<Option<String>, String> {
    let read = |file: &Path| std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()));
    Ok(file.map(read).transpose()?.map(|text| text.trim_end().to_owned()))
}

/// `packetboat mail identity ...`.
pub(super) fn run(dir: &Path, account: Option<&str>, command: &IdentityCommand) -> Result<Value, String> {
    let mut profiles = Profiles::read(dir)?;
    let mut profile = profiles.find(account)?.clone();
    match command {
        IdentityCommand::List => return Ok(json!({ "identities": profile.identities() })),
        IdentityCommand::Add { address, name, signature: file } => {
            crate::admin::check_address(address)?;
            let (name, signature) = (name.clone(), signature(file.as_deref())?);
            if profile.address.eq_ignore_ascii_case(address) {
                profile.name = name.or(profile.name);
                profile.signature = signature.or(profile.signature);
            } else {
                profile.further.retain(|other| !other.address.eq_ignore_ascii_case(address));
                profile.further.push(Identity { address: address.clone(), name, signature });
            }
        }
        IdentityCommand::Remove { address } => {
            let before = profile.further.len();
            profile.further.retain(|other| !other.address.eq_ignore_ascii_case(address));
            if profile.further.len() == before {
                return Err(format!("{address} is no further identity of {}", profile.address));
            }
        }
    }
    let told = json!({ "identities": profile.identities() });
    profiles.keep(profile);
    profiles.write(dir)?;
    Ok(told)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_answer_comes_from_the_address_that_was_written_to() {
        let further = Identity { address: "Info@club.test".into(), ..Identity::default() };
        let profile = Profile { address: "ann@here.test".into(), further: vec![further], ..Profile::default() };
        let to = |text: &str| profile.written_to(&[text.to_owned()]).map(|one| one.address);
        assert_eq!(to("The Club <info@Club.test>"), Some("Info@club.test".into()));
        assert_eq!(to("joann@here.test"), None);
        assert_eq!(profile.identity(None).unwrap().address, "ann@here.test");
        assert!(profile.identity(Some("eve@here.test")).is_err());
    }
}
