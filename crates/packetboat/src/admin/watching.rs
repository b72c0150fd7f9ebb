//! Watching an account's dialogues (`packetboat wire`): the first answer says so, then one for each line.

use super::Admin;
use crate::dialogue::{protocol_word, side_word};
use serde_json::{Value, json};
use server::wire_log::Spoken;
use tokio::sync::mpsc;

/// Answers that may wait for the asker.
const WAITING_MAX: usize = 16;

fn value(spoken: &Spoken) -> Value {
    json!({
        "at_millis": spoken.at_millis,
        "connection": spoken.connection,
        "protocol": protocol_word(spoken.protocol),
        "peer": spoken.peer,
        "side": side_word(spoken.explained.side),
        "line": spoken.explained.line,
        "meaning": spoken.explained.meaning,
        "section": spoken.explained.section,
        "lost": spoken.lost,
    })
}

impl Admin {
    /// From now on; ends when the receiver is dropped.
    ///
    /// # Errors
    /// Why not, in plain words.
    pub(crate) async fn watch(&self, account: &str) -> Result<mpsc::Receiver<Value>, String> {
        let account = self.find(account).await?;
        let server = self.server.as_ref().ok_or("only the running server can be watched")?;
        let mut spoken = server.watch(&account).ok_or("enough people watch already")?;
        let (to, receiver) = mpsc::channel(WAITING_MAX);
        let watching = json!({ "watching": account.address });
        tokio::spawn(async move {
            if to.send(watching).await.is_err() {
                return;
            }
            loop {
                let next = tokio::select! {
                    next = spoken.recv() => next,
                    () = to.closed() => None,
                };
                let Some(next) = next else { return };
                if to.send(value(&next)).await.is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }
}
