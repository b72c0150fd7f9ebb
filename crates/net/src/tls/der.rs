//! As much of DER (ITU-T X.690) as reading two facts out of a certificate takes (RFC 5280 §4.1).
//!
//! Invariant: nothing is read past the end; what is not understood is `None`.

/// The content of the next value and its tag; the rest stays in `input`.
pub(super) fn next<'a>(input: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let length = if first < 0x80 {
        usize::from(first)
    } else {
        let count = usize::from(first & 0x7f);
        // No certificate is longer than three octets tell.
        if count == 0 || count > 3 {
            return None;
        }
        let (octets, behind) = rest.split_at_checked(count)?;
        rest = behind;
        octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet))
    };
    let (content, behind) = rest.split_at_checked(length)?;
    *input = behind;
    Some((tag, content))
}

/// The next value, which must have this tag.
pub(super) fn expect<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    next(input).filter(|(found, _)| *found == tag).map(|(_, content)| content)
}

pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const OID: u8 = 0x06;
pub(super) const OCTET_STRING: u8 = 0x04;

/// `tbsCertificate` and `signatureAlgorithm`, each without its head.
pub(super) fn certificate(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut input = der;
    let mut parts = expect(&mut input, SEQUENCE)?;
    Some((expect(&mut parts, SEQUENCE)?, expect(&mut parts, SEQUENCE)?))
}

/// The email addresses of the subject's alternative names (`rfc822Name`, RFC 5280 §4.2.1.6).
pub(super) fn email_addresses(der: &[u8]) -> Option<Vec<String>> {
    let (mut fields, _) = certificate(der)?;
    let mut extensions = loop {
        let (tag, content) = next(&mut fields)?;
        if tag == 0xa3 {
            let mut content = content;
            break expect(&mut content, SEQUENCE)?;
        }
    };
    let mut found = Vec::new();
    while let Some(mut extension) = expect(&mut extensions, SEQUENCE) {
        if expect(&mut extension, OID)? != [0x55, 0x1d, 0x11] {
            continue;
        }
        let value = loop {
            let (tag, content) = next(&mut extension)?;
            if tag == OCTET_STRING {
                break content;
            }
        };
        let mut value = value;
        let mut names = expect(&mut value, SEQUENCE)?;
        while let Some((tag, name)) = next(&mut names) {
            if tag == 0x81 && found.len() < 100 {
                found.push(std::str::from_utf8(name).ok()?.to_lowercase());
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lengths_are_held_to_what_is_there() {
        assert_eq!(next(&mut [0x04, 0x01, 0x07, 0x09].as_slice()), Some((0x04, [0x07].as_slice())));
        assert_eq!(next(&mut [0x04, 0x81, 0x01, 0x07].as_slice()), Some((0x04, [0x07].as_slice())));
        for bad in [[].as_slice(), &[4], &[4, 1], &[4, 0x80, 0, 0], &[4, 0x84, 0, 0, 0, 1, 7], &[4, 0x82, 1]] {
            assert_eq!(next(&mut &*bad), None, "{bad:x?}");
        }
    }

    #[test]
    fn names_of_a_certificate_and_of_every_cut_of_it() {
        let mut params = rcgen::CertificateParams::new(vec!["mail.here.test".to_owned()]).unwrap();
        params.subject_alt_names.push(rcgen::SanType::Rfc822Name("Ann@Here.test".try_into().unwrap()));
        let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let der = made.der().as_ref();
        assert_eq!(email_addresses(der), Some(vec!["ann@here.test".to_owned()]));
        for cut in 0..der.len() {
            let _ = email_addresses(der.get(..cut).unwrap());
            let mut bent = der.to_vec();
            for octet in [0x00, 0x7f, 0x80, 0x84, 0xff] {
                *bent.get_mut(cut).unwrap() = octet;
                let _ = (email_addresses(&bent), super::super::channel::end_point(&bent));
            }
        }
    }
}
