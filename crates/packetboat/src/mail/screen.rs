//! `packetboat mail` on a terminal: the email program full-screen, with mutt's keys.
//!
//! A state machine (`update`: model and input to effects), a function that draws it (`draw`), hands that carry effects out on the
//! store (`work`), and this loop between them and the terminal. The servers are spoken with beside it (`step`). Invariant: the
//! terminal is left as it was found, whatever happens. Must not know: protocols, how mail is stored.

mod draw;
mod keys;
mod model;
mod prompt;
mod threads;
mod update;
mod work;

#[cfg(test)]
mod tests;

use super::step::{self, Step};
use super::{Desk, Profiles, Way, compose, data_dir, open_store, remote, text, words};
use crate::cli::MailArgs;
use crate::dialogue;
use draw::{Palette, draw};
use model::{Effect, Input, Model};
use net::clock::unix_now;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, DisableBracketedPaste, EnableBracketedPaste, Event};
use ratatui::crossterm::execute;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::RecipientState;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::{Notify, watch};
use update::update;
use work::{SEND_DELAY_SECS, Work};

/// Between two looks at what came from elsewhere, while nobody types.
const TICK: Duration = Duration::from_millis(200);
/// The same while an answer is expected soon.
const TICK_BUSY: Duration = Duration::from_millis(10);
/// Keys that are read before the screen is drawn again.
const KEYS_AT_ONCE: usize = 64;
/// While much changes (a first sync), the list is read again no more often than this.
const AGAIN_EVERY: Duration = Duration::from_millis(400);
/// For a round of sync that is under way at the end.
const ROUND_PATIENCE: Duration = Duration::from_secs(3);
/// For sending what was written last.
const SEND_PATIENCE: Duration = Duration::from_secs(20);

/// Does somebody sit before a terminal?
pub(super) fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Why the user leaves an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaves {
    /// For the next one.
    ForNext,
    ForGood,
}

/// Until the user quits.
pub(super) async fn run(arguments: &MailArgs, way: &Way) -> Result<(), String> {
    // Nothing but the program writes on its screen.
    let way = Way { listening: way.listening.clone().filter(|_| !std::io::stderr().is_terminal()), ..way.clone() };
    let dir = data_dir(arguments.data.as_deref())?;
    let profiles = Profiles::read(&dir)?;
    let first = &profiles.find(arguments.account.as_deref())?.address;
    let begin = profiles.all().iter().position(|profile| profile.address == *first).unwrap_or(0);
    for profile in profiles.all().iter().cycle().skip(begin) {
        let store = open_store(&dir).await?;
        let account = super::profile::account(&store, &profile.address).await?;
        if show(Desk::of((&dir, &way), profile, &store, account), profiles.all().len() > 1).await? == Leaves::ForGood {
            break;
        }
    }
    Ok(())
}

/// One account, until it is left.
async fn show(desk: Desk, has_others: bool) -> Result<Leaves, String> {
    let (inputs, told) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(false);
    let urged = Arc::new(Notify::new());
    let work = Work::new(desk.clone(), inputs.clone(), Arc::clone(&urged));
    let ends = tokio::spawn(ends(inputs.clone()));
    let in_step = tokio::spawn(keep_in_step(desk.clone(), stopped, urged, inputs));
    let outcome = turn(&desk, has_others, work, told).await;
    ends.abort();
    let _ = stop.send(true);
    let abort = in_step.abort_handle();
    if tokio::time::timeout(ROUND_PATIENCE, in_step).await.is_err() {
        abort.abort();
    }
    let last = last_words(&desk).await;
    let closed = desk.close().await;
    last.and(closed).and(outcome)
}

/// SIGTERM and SIGHUP end the program, not only its process: the terminal is put in order. Where that is gone, crossterm reads
/// its end for ever and nothing comes back; the store is whole at any time.
async fn ends(inputs: UnboundedSender<Input>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut hangup)) = (signal(SignalKind::terminate()), signal(SignalKind::hangup())) else { return };
    tokio::select! {
        _ = term.recv() => {}
        _ = hangup.recv() => {}
    }
    let _ = inputs.send(Input::End);
    tokio::time::sleep(ROUND_PATIENCE).await;
    std::process::exit(1);
}

async fn keep_in_step(desk: Desk, stopped: watch::Receiver<bool>, urged: Arc<Notify>, inputs: UnboundedSender<Input>) {
    let tell = move |step: Step<'_>| {
        let text = match step {
            Step::Begins => "syncing ...".to_owned(),
            Step::Done(value) => words::round(value).trim_end().replace('\n', "; "),
            Step::Trouble(why) => format!("not in step: {why}"),
            Step::Sent(sent) => {
                let said = |one: &client::outbox::Sent| {
                    let how = if one.sent { "sent" } else { "not sent yet" };
                    format!("{how}: {}", one.said.join("; "))
                };
                sent.iter().map(said).collect::<Vec<_>>().join("; ")
            }
        };
        let _ = inputs.send(Input::Step(text));
    };
    step::keep(desk, stopped, urged, tell).await;
}

/// The terminal while it is ours.
struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    fn enter() -> Result<Screen, String> {
        let terminal = ratatui::try_init().map_err(|error| format!("the terminal: {error}"))?;
        let screen = Screen { terminal };
        execute!(std::io::stdout(), EnableBracketedPaste).map_err(|error| format!("the terminal: {error}"))?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = execute!(std::io::stdout(), DisableBracketedPaste);
        let _ = self.terminal.show_cursor();
        // A terminal that is gone needs no order.
        let _ = ratatui::try_restore();
    }
}

/// What the terminal says, after waiting for it for a while.
fn keys(wait: Duration) -> std::io::Result<Vec<Input>> {
    let mut inputs = Vec::new();
    let mut wait = wait;
    while inputs.len() < KEYS_AT_ONCE && event::poll(wait)? {
        match event::read()? {
            Event::Key(key) => inputs.push(Input::Key(key)),
            Event::Paste(text) => inputs.push(Input::Paste(text)),
            Event::Resize(columns, rows) => inputs.push(Input::Size(columns, rows)),
            _ => {}
        }
        wait = Duration::ZERO;
    }
    Ok(inputs)
}

async fn turn(desk: &Desk, has_others: bool, mut work: Work, mut told: mpsc::UnboundedReceiver<Input>) -> Result<Leaves, String> {
    let failed = |error: std::io::Error| format!("the terminal: {error}");
    let inbox = desk.mailbox("INBOX").await?.id;
    let mut changes = desk.store.watch(desk.account).await.map_err(|error| error.to_string())?;
    let mut screen = Screen::enter()?;
    let size = screen.terminal.size().map_err(failed)?;
    let identities = desk.profile.identities().into_iter().map(|identity| identity.address).collect();
    let mut model = Model::new(&desk.profile.address, identities, inbox, (size.width, size.height));
    model.has_others = has_others;
    let palette = Palette { coloured: dialogue::coloured(true) };
    changes.mark_changed();
    let mut last_look: Option<Instant> = None;
    loop {
        let mut inputs = Vec::new();
        while let Ok(input) = told.try_recv() {
            inputs.push(input);
        }
        let is_time = last_look.is_none_or(|last| last.elapsed() >= AGAIN_EVERY);
        if changes.has_changed().unwrap_or(false) && is_time {
            changes.mark_unchanged();
            last_look = Some(Instant::now());
            inputs.push(Input::Folders(work.folders().await?));
            inputs.push(Input::Changed);
        }
        if inputs.is_empty() {
            inputs = keys(if work.is_busy() { TICK_BUSY } else { TICK }).map_err(failed)?;
        }
        if inputs.is_empty() {
            continue;
        }
        for input in inputs {
            let mut todo = vec![input];
            while let Some(input) = todo.pop() {
                for effect in update(&mut model, input) {
                    match effect {
                        Effect::Quit => return Ok(Leaves::ForGood),
                        Effect::Account => return Ok(Leaves::ForNext),
                        Effect::Redraw => screen.terminal.clear().map_err(failed)?,
                        Effect::Edit(mut draft) => {
                            drop(screen);
                            let edited = compose::edited(&draft.text);
                            screen = Screen::enter()?;
                            let size = screen.terminal.size().map_err(failed)?;
                            todo.push(Input::Size(size.width, size.height));
                            match edited {
                                Ok(text) => {
                                    draft.text = text;
                                    todo.push(Input::Edited(draft));
                                }
                                Err(why) => todo.push(Input::Failed(why)),
                            }
                        }
                        effect => {
                            let acts = !matches!(effect, Effect::Heads(_) | Effect::List { .. } | Effect::Search { .. });
                            todo.extend(work.carry(effect).await);
                            // What the user did is seen at once.
                            last_look = last_look.filter(|_| !acts);
                        }
                    }
                }
            }
        }
        screen.terminal.draw(|frame| draw(&model, palette, frame)).map_err(failed)?;
    }
}

/// What was written last goes before the program ends, if it can.
async fn last_words(desk: &Desk) -> Result<(), String> {
    let waiting = async || -> Result<Vec<i64>, String> {
        let list = desk.store.queue_list(None, 1000).await.map_err(|error| error.to_string())?;
        let ours = list.iter().filter(|entry| entry.message.account == Some(desk.account) && !entry.held);
        let waits = |state: RecipientState| state == RecipientState::Waiting;
        let open = ours.filter(|entry| entry.message.recipients.iter().any(|recipient| waits(recipient.state)));
        Ok(open.map(|entry| entry.next_secs.max(entry.message.due_secs)).collect())
    };
    let soon = unix_now() + i64::from(SEND_DELAY_SECS);
    if let Some(due) = waiting().await?.into_iter().filter(|due| *due <= soon).max() {
        eprintln!("sending what was written last ...");
        let wait = u64::try_from(due - unix_now()).unwrap_or(0);
        tokio::time::sleep(Duration::from_secs(wait)).await;
        match tokio::time::timeout(SEND_PATIENCE, remote::flush(desk, false)).await {
            Ok(Ok(sent)) => {
                sent.iter().filter(|one| !one.sent).for_each(|one| eprintln!("not sent yet: {}", one.said.join("; ")))
            }
            Ok(Err(why)) => eprintln!("not sent yet: {why}"),
            Err(_) => eprintln!("not sent yet: the server does not answer"),
        }
        if !waiting().await?.is_empty() {
            eprintln!("`packetboat mail sync` sends what waits; `packetboat mail outbox` shows it");
        }
    }
    Ok(())
}
