//! What stands around the mail: the configuration file, the control socket, JMAP, answers of DNS.

/// The text of a configuration file.
pub(crate) fn configuration(data: &[u8]) {
    packetboat::fuzzing::configuration(data);
}

/// A request on the control socket.
pub(crate) fn control_request(data: &[u8]) {
    packetboat::fuzzing::control_request(data);
}

/// A request of a JMAP client.
pub(crate) fn jmap_request(data: &[u8]) {
    web::fuzzing::jmap_request(data);
}

/// A ZIP archive of mail.
pub(crate) fn mail_archive(data: &[u8]) {
    web::fuzzing::mail_archive(data);
}

/// An mbox of somebody else, as each of its kinds.
pub(crate) fn mbox_file(data: &[u8]) {
    client::mbox::fuzz(data);
}

/// A provider's autoconfig file.
pub(crate) fn autoconfig_file(data: &[u8]) {
    for server in client::discover::autoconfig::servers(data, "me@here.test") {
        assert!(!server.place.host.is_empty() && server.place.port > 0 && server.place.user.is_empty());
        assert!(!server.login.is_empty() && !server.login.contains(char::is_control));
        assert_eq!(client::Place::parse(&server.place.url()).as_ref(), Ok(&server.place));
    }
}

/// An answer of a name server.
pub(crate) fn dns_answer(data: &[u8]) {
    net::fuzzing::dns_answer(data);
}

/// What a proxy says in front of everything else.
pub(crate) fn proxy_header(data: &[u8]) {
    net::fuzzing::proxy_header(data);
}

/// What a web server answers: a policy, a provider's file, a token.
pub(crate) fn https_answer(data: &[u8]) {
    net::fuzzing::https_answer(data);
}

/// The postmaster's mail, which may be a report of others, packed or not.
pub(crate) fn report_mail(data: &[u8]) {
    server::fuzzing::report_mail(data);
}

/// A name of a mailbox on somebody else's server: here it has levels, and none that means something to a folder on disk.
pub(crate) fn mailbox_name_elsewhere(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (prefix, name) = text.split_once('\n').unwrap_or(("", &text));
    for delimiter in [Some('/'), Some('.'), None] {
        let local = client::mailbox_name::to_local(name, delimiter, prefix);
        assert!(!local.contains(|c: char| c.is_control() || c == '*' || c == '%'), "{local:?}");
        assert!(local.is_empty() || local.split('/').all(|level| !level.is_empty()), "{local:?}");
        assert!(local == "INBOX" || !local.eq_ignore_ascii_case("INBOX"), "{local:?}");
        let remote = client::mailbox_name::to_remote(&local, delimiter, "");
        assert_eq!(client::mailbox_name::to_local(&remote, delimiter, "").is_empty(), local.is_empty(), "{local:?}");
    }
}
