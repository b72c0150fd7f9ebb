//! `packetboat try`: two offices, the same passwords and mail again, a message across.

use crate::running::{Server, Talk};
use std::io::Read;
use std::path::Path;
use std::process::Command;

/// A port base whose ports are free at this moment.
fn port_base() -> u16 {
    let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    let start = 20_000 + u16::try_from(std::process::id() % 20_000).unwrap();
    (0..50u16)
        .map(|step| start + step * 211)
        .find(|base| [25, 53, 80, 110, 143, 465, 587, 993, 995].iter().all(|port| free(base + port) && free(base + 1000 + port)))
        .unwrap()
}

fn start(dir: &Path, base: u16) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_packetboat"));
    command.arg("try").arg("--data").arg(dir).arg("--port-base").arg(base.to_string());
    Server::start(command)
}

fn stop(mut server: Server) -> String {
    server.signal("INT");
    let mut out = String::new();
    server.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    out
}

fn password(tour: &str, address: &str) -> String {
    let line = tour.lines().find(|line| line.trim_start().starts_with(address)).unwrap();
    line.split_whitespace().next_back().unwrap().to_owned()
}

fn inbox(address: &str, login: &str, password: &str) -> Vec<String> {
    let mut pop = Talk::to(address);
    pop.line();
    pop.say(&format!("USER {login}"));
    assert!(pop.line().starts_with("+OK"));
    pop.say(&format!("PASS {password}"));
    let answer = pop.line();
    assert!(answer.starts_with("+OK"), "{answer}");
    pop.say("STAT");
    let count: usize = pop.line().split(' ').nth(1).unwrap().parse().unwrap();
    let messages = (1..=count).map(|number| {
        pop.say(&format!("RETR {number}"));
        let mut lines = Vec::new();
        loop {
            let line = pop.line_raw();
            if line == "." {
                return lines.join("\n");
            }
            lines.push(line);
        }
    });
    messages.collect()
}

#[test]
fn two_offices_keep_everything_and_mail_crosses() {
    let dir = tempfile::tempdir().unwrap();
    let base = port_base();
    let first = start(dir.path(), base);
    let kept = std::fs::read_to_string(dir.path().join("passwords")).unwrap();
    let ann = kept.lines().find_map(|line| line.strip_prefix("ann@here.test ")).unwrap().to_owned();
    let carol = kept.lines().find_map(|line| line.strip_prefix("carol@there.test ")).unwrap().to_owned();
    let plain = format!("\0ann@here.test\0{ann}");
    let mut smtp = Talk::to(&format!("127.0.0.1:{}", base + 587));
    smtp.until("220 ");
    smtp.say("EHLO test");
    smtp.until("250 ");
    smtp.say(&format!("AUTH PLAIN {}", data_encoding::BASE64.encode(plain.as_bytes())));
    smtp.until("235 ");
    smtp.say("MAIL FROM:<ann@here.test>");
    smtp.until("250 ");
    smtp.say("RCPT TO:<somebody@example.org>");
    assert!(smtp.line().contains("nothing leaves this machine"));
    smtp.say("RCPT TO:<carol@there.test>");
    smtp.until("250 ");
    smtp.say("DATA");
    smtp.until("354 ");
    smtp.say("From: ann@here.test\r\nTo: carol@there.test\r\nSubject: Across\r\n\r\nHello.\r\n.");
    smtp.until("250 ");
    let pop = format!("127.0.0.1:{}", base + 1000 + 110);
    let until = std::time::Instant::now() + crate::running::PATIENCE;
    let messages = loop {
        let messages = inbox(&pop, "carol@there.test", &carol);
        if messages.len() == 2 || std::time::Instant::now() > until {
            break messages;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    assert_eq!(messages.len(), 2);
    assert!(messages[0].contains("Subject: Welcome aboard, Carol") && messages[0].contains("image/png"));
    assert!(messages[1].contains("Subject: Across"));
    let tour = stop(first);
    assert_eq!(password(&tour, "ann@here.test"), ann);

    let second = start(dir.path(), base);
    assert_eq!(inbox(&pop, "carol@there.test", &carol).len(), 2, "the same mail, and no second welcome");
    let again = stop(second);
    assert_eq!(again, tour, "the same passwords, ports and fingerprints");
    for office in ["here.test", "there.test"] {
        let config = dir.path().join(format!("{office}.toml"));
        let check = crate::running::run(&["check", "--config", config.to_str().unwrap()], "");
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
    }
}
