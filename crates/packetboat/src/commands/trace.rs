//! `packetboat trace`: the timeline in words, and the same going on.

use super::{Doer, fail, words};
use crate::admin::Request;
use crate::admin::views::TraceView;
use crate::config::Config;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

/// How often is looked for more.
const LOOK_EVERY: Duration = Duration::from_millis(500);

fn events(value: &Value) -> Vec<TraceView> {
    value.get("events").cloned().and_then(|list| serde_json::from_value(list).ok()).unwrap_or_default()
}

fn line(event: &TraceView) -> String {
    let mut out = format!("{}  {:<15} ", words::when(event.at_secs), event.what);
    // What others said is in it.
    let harmless = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let mut lines = event.detail.lines();
    out.push_str(&harmless(lines.next().unwrap_or_default()));
    for (kind, label) in [("queue", "queue entry"), ("message-id", "Message-ID")] {
        let values = event.keys.iter().filter(|key| key.kind == kind).take(5).map(|key| key.value.as_str());
        let values: Vec<&str> = values.collect();
        if !values.is_empty() {
            let _ = write!(out, " [{label} {}]", harmless(&values.join(", ")));
        }
    }
    out.push('\n');
    for more in lines {
        let _ = writeln!(out, "{:<24}{}", "", harmless(more));
    }
    out
}

pub(super) fn words(value: &Value) -> String {
    let events = events(value);
    if events.is_empty() {
        return "nothing is known about it (the trace keeps some days, see [trace] in the configuration)\n".into();
    }
    events.iter().map(line).collect()
}

pub(super) fn alarm_words(value: &Value) -> String {
    let events = events(value);
    if events.is_empty() {
        return "no alarm\n".into();
    }
    let one = |event: &TraceView| format!("{}  {}\n", words::when(event.at_secs), event.detail);
    events.iter().map(one).collect()
}

/// Prints what there is, then what comes, until it is interrupted or the server ends. Without a server nothing comes.
pub(super) async fn follow(config: &Config, asked: &str, json: bool) -> u8 {
    let mut doer = match Doer::of(config).await {
        Ok(doer) => doer,
        Err(why) => return fail(&why, json),
    };
    let mut after = None;
    loop {
        let value = match doer.perform(Request::Trace { asked: asked.to_owned(), after }).await {
            Ok(value) => value,
            // The server ended: so does this.
            Err(_) if after.is_some() => return 0,
            Err(why) => return fail(&why, json),
        };
        for event in events(&value) {
            let text = if json { serde_json::to_string(&event).unwrap_or_default() + "\n" } else { line(&event) };
            let mut out = std::io::stdout();
            if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
                return 0;
            }
            after = Some(event.number);
        }
        if let Doer::Here(..) = doer {
            return u8::from(doer.close().await.is_err());
        }
        after = after.or(Some(0));
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
