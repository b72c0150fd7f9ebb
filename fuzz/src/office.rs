//! What stands around the mail: the configuration file, the control socket, JMAP, answers of DNS.

/// The text of a configuration file.
pub fn configuration(data: &[u8]) {
    packetboat::fuzzing::configuration(data);
}

/// A request on the control socket.
pub fn control_request(data: &[u8]) {
    packetboat::fuzzing::control_request(data);
}

/// A request of a JMAP client.
pub fn jmap_request(data: &[u8]) {
    web::fuzzing::jmap_request(data);
}

/// An mbox of somebody else, as each of its kinds.
pub fn mbox_file(data: &[u8]) {
    client::mbox::fuzz(data);
}

/// A provider's autoconfig file.
pub fn autoconfig_file(data: &[u8]) {
    for server in client::discover::autoconfig::servers(data, "me@here.test") {
        assert!(!server.place.host.is_empty() && server.place.port > 0 && server.place.user.is_empty());
        assert!(!server.login.is_empty() && !server.login.contains(char::is_control));
        assert_eq!(client::Place::parse(&server.place.url()).as_ref(), Ok(&server.place));
    }
}

/// An answer of a name server.
pub fn dns_answer(data: &[u8]) {
    net::fuzzing::dns_answer(data);
}

/// What a proxy says in front of everything else.
pub fn proxy_header(data: &[u8]) {
    net::fuzzing::proxy_header(data);
}
