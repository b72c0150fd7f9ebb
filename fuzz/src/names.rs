//! Addresses and domains: `message::address`, `address_list`, `domain`.

use message::address::{Address, AddressError};
use message::address_list::{self, HeaderAddress};
use message::domain;
use message::limits::ADDRESSES_MAX;

/// What is read as an address is written so that it is read the same.
pub(crate) fn address(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(address) = Address::parse(&text) {
        let written = address.to_string();
        match Address::parse(&written) {
            Ok(again) => assert_eq!(again, address),
            // Quoting may lengthen it past the limit.
            Err(error) => assert!(error == AddressError::TooLong && written.len() > text.len(), "{address:?}: {error:?}"),
        }
        assert!(!written.contains(['\r', '\n', '\0']), "{written:?}");
        if let Some(ascii) = address.ascii() {
            assert!(ascii.is_ascii());
        }
        assert!(!address.is_ascii() || address.ascii().is_some());
    }
    if let Some(ascii) = domain::to_ascii(&text).filter(|_| domain::is_domain(&text)) {
        assert!(ascii.is_ascii());
        assert_eq!(domain::to_ascii(&ascii).as_ref(), Some(&ascii));
        assert_eq!(domain::to_ascii(&domain::to_unicode(&ascii)), Some(ascii));
    }
    let _ = domain::to_unicode(&text);
}

/// Any octets are an address list: bounded, with groups that open and close.
pub(crate) fn address_list(data: &[u8]) {
    let list = address_list::parse(data);
    assert!(list.len() <= ADDRESSES_MAX + 1);
    let mut in_group = false;
    for entry in &list {
        match entry {
            HeaderAddress::Group(_) => assert!(!std::mem::replace(&mut in_group, true), "a group in a group"),
            HeaderAddress::GroupEnd => assert!(std::mem::take(&mut in_group), "the end of no group"),
            HeaderAddress::Mailbox { name, local, domain, .. } => {
                assert!(name.is_some() || !local.is_empty() || !domain.is_empty(), "an address of nothing");
                assert!(entry.display().is_some() && entry.address().is_some());
            }
        }
        let _ = entry.name();
    }
    assert!(!in_group, "a group stays open");
}
