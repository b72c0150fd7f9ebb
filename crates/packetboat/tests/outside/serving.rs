//! `packetboat serve`: start, listeners, the control socket, signals, stop.

use crate::running::{Place, Talk};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

const LISTEN: &str = "[listen]\nsmtp = [\"127.0.0.1:0\"]\nimap = [\"127.0.0.1:0\"]\npop3 = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\nhttps = [\"127.0.0.1:0\"]\nimaps = [\"127.0.0.1:0\"]\n[tls]\nself_signed = true\n[auth]\nplaintext = \"loopback\"\n";

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn it_starts_answers_and_stops() {
    let place = Place::new(LISTEN);
    let server = place.serve();
    assert_eq!(mode(&place.data()), 0o700);
    assert_eq!(mode(&place.data().join("control.sock")), 0o600);
    let mut smtp = Talk::to(&server.address("smtp"));
    assert!(smtp.line().starts_with("220 mail.here.test "));
    assert!(Talk::to(&server.address("imap")).line().starts_with("* OK "));
    assert!(Talk::to(&server.address("pop3")).line().starts_with("+OK "));
    let mut http = Talk::to(&server.address("http"));
    http.say("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    assert_eq!(http.line(), "HTTP/1.1 200 OK");
    let (code, out) = server.stop();
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(smtp.line().starts_with("421 "), "a session in progress is told");
    assert!(!place.data().join("control.sock").exists());
    place.ok("check", "");
}

#[test]
fn commands_go_through_the_server() {
    let place = Place::new(LISTEN);
    let server = place.serve();
    place.ok("account add ann@here.test --password-stdin", "first\n");
    let sign_in = |password: &str| {
        let mut imap = Talk::to(&server.address("imap"));
        imap.line();
        imap.say(&format!("a LOGIN ann@here.test {password}"));
        let answer = imap.until("a ").pop().unwrap();
        (imap, answer)
    };
    let (mut session, answer) = sign_in("first");
    assert!(answer.starts_with("a OK "), "{answer}");
    place.ok("account password ann@here.test --password-stdin", "second\n");
    assert!(session.line().starts_with("* BYE "), "a new password ends the session");
    assert!(sign_in("first").1.starts_with("a NO "));
    let (mut session, answer) = sign_in("second");
    assert!(answer.starts_with("a OK "), "{answer}");
    place.ok("account suspend ann@here.test", "");
    assert!(session.line().starts_with("* BYE "));
    assert!(sign_in("second").1.starts_with("a NO "));
    place.ok("account resume ann@here.test", "");
    assert!(sign_in("second").1.starts_with("a OK "));
    let rebuild = place.run("rebuild --yes", "");
    assert!(String::from_utf8_lossy(&rebuild.stderr).contains("stop it first"));
    assert!(place.ok("check", "").contains("sound"));
    assert_eq!(server.stop().0, 0);
}

#[test]
fn a_quiet_server_gives_its_own_pages_back() {
    let place = Place::new(LISTEN);
    let server = place.serve();
    place.ok("account add ann@here.test --password-stdin", "first\n");
    // Quiet is not that nobody is there.
    let mut imap = Talk::to(&server.address("imap"));
    imap.line();
    imap.say("a LOGIN ann@here.test first");
    assert!(imap.until("a ").pop().unwrap().starts_with("a OK "));
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let (file, most) = (server.memory("RssFile:"), server.memory("VmHWM:"));
        if file < most / 2 {
            break;
        }
        assert!(Instant::now() < until, "{file} KiB of files after a minute, {most} KiB at most");
        std::thread::sleep(Duration::from_millis(200));
    }
    imap.say("b NOOP");
    assert!(imap.line().starts_with("b OK "));
    assert!(Talk::to(&server.address("pop3")).line().starts_with("+OK "));
    assert_eq!(server.stop().0, 0);
}

#[test]
fn a_second_server_on_the_same_data_is_told_so() {
    let place = Place::new(LISTEN);
    let server = place.serve();
    let second = place.run("serve", "");
    assert_eq!(second.status.code(), Some(1));
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(told.contains(place.data().to_str().unwrap()), "{told}");
    assert!(place.ok("account list", "").contains("ADDRESS"), "the first still answers");
    assert_eq!(server.stop().0, 0);
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let place = Place::new(&format!("[listen]\nsmtp = [\"{address}\"]\n"));
    let output = place.run("serve", "");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&address.to_string()));
}

#[test]
fn sighup_reads_the_certificate_again_and_drops_nobody() {
    let place = Place::new(&LISTEN.replace("self_signed = true", "certificate = \"c.pem\"\nprivate_key = \"k.pem\""));
    let make = || {
        let made = tempfile::tempdir().unwrap();
        net::TlsServer::self_signed(made.path(), &["localhost".to_owned()]).unwrap();
        std::fs::copy(made.path().join("self-signed.pem"), place.dir.path().join("c.pem")).unwrap();
        std::fs::copy(made.path().join("self-signed.key"), place.dir.path().join("k.pem")).unwrap();
        net::TlsServer::from_pem(&place.dir.path().join("c.pem"), &place.dir.path().join("k.pem")).unwrap().fingerprint()
    };
    make();
    let mut server = place.serve();
    let mut imap = Talk::to(&server.address("imap"));
    imap.line();
    let fresh = make();
    server.signal("HUP");
    server.wait_for(&fresh);
    imap.say("a NOOP");
    assert!(imap.line().starts_with("a OK "));
    std::fs::write(place.dir.path().join("c.pem"), "broken").unwrap();
    server.signal("HUP");
    server.wait_for("the old certificate stays");
    assert_eq!(server.stop().0, 0);
}
