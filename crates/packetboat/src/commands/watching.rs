//! `packetboat wire`: an account's dialogues, line by line until interrupted.

use crate::admin::Request;
use crate::config::Config;
use crate::control::Client;
use crate::dialogue;
use serde_json::Value;
use std::io::{IsTerminal, Write};

/// Prints until the server ends, or nobody reads any more.
pub(super) async fn run(config: &Config, account: &str, json: bool) -> Result<(), String> {
    let socket = config.data_dir.join("control.sock");
    let connected = Client::connect(&config.data_dir).await.map_err(|error| format!("{}: {error}", socket.display()))?;
    let mut client = connected.ok_or("the server does not run, so there is nothing to watch")?;
    let mut answer = Some(client.ask(&Request::Wire { account: account.to_owned() }).await?);
    let colour = dialogue::coloured(std::io::stdout().is_terminal());
    while let Some(value) = answer {
        let text = if json { value.to_string() } else { words(&value, colour) };
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
        drop(out);
        answer = client.next().await?;
    }
    Ok(())
}

fn words(value: &Value, colour: bool) -> String {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| value.get(name).and_then(Value::as_u64).unwrap_or_default();
    if let Some(account) = value.get("watching").and_then(Value::as_str) {
        return format!("watching {account}: connections made from now on (Ctrl-C ends)");
    }
    let lost = match number("lost") {
        0 => String::new(),
        count => format!("({count} lines were too many to show)\n"),
    };
    let head = format!("{lost}{} {}", number("connection"), text("protocol"));
    dialogue::lines(colour, &head, text("side") == "client", (text("line"), text("meaning"), text("section")))
}
