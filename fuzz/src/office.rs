//! What stands around the mail: the configuration file, the control socket, answers of DNS.

/// The text of a configuration file.
pub fn configuration(data: &[u8]) {
    packetboat::fuzzing::configuration(data);
}

/// A request on the control socket.
pub fn control_request(data: &[u8]) {
    packetboat::fuzzing::control_request(data);
}

/// An answer of a name server.
pub fn dns_answer(data: &[u8]) {
    net::fuzzing::dns_answer(data);
}

/// What a proxy says in front of everything else.
pub fn proxy_header(data: &[u8]) {
    net::fuzzing::proxy_header(data);
}
