//! What happens to the model: a function of it and of one input; what is to be done outside comes back as effects.
//!
//! Must not know: the store, the terminal, the network, time.

use super::keys::{self, Act};
use super::model::{Draft, Effect, Id, Input, Line, Model, Reading, Search, View};
use super::prompt::{Asks, Prompt, Typed};
use ratatui::crossterm::event::{KeyEvent, KeyEventKind};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use store::{Flags, MailboxId};

/// One step.
pub(super) fn update(model: &mut Model, input: Input) -> Vec<Effect> {
    let mut effects = match input {
        Input::Key(event) if event.kind == KeyEventKind::Release => Vec::new(),
        Input::Key(event) => key(model, event),
        Input::Paste(text) => match model.prompt.as_mut().map(|prompt| prompt.insert(&text)) {
            Some(Typed::Changed) => typed(model),
            _ => Vec::new(),
        },
        Input::Size(columns, rows) => {
            model.size = (columns, rows);
            Vec::new()
        }
        other => told(model, other),
    };
    effects.extend(model.settle());
    effects
}

/// What the outside says.
fn told(model: &mut Model, input: Input) -> Vec<Effect> {
    match input {
        Input::Changed => return again(model),
        Input::Folders(folders) => {
            model.folders = folders;
            if model.folder(model.mailbox).is_none()
                && let Some(first) = model.folders.first().map(|folder| folder.id)
            {
                return enter(model, first);
            }
        }
        Input::List { mailbox, lines, order } if mailbox == model.mailbox && model.search.is_none() => {
            let order = order.unwrap_or_else(|| as_before(&model.lines, &lines, model.listed && model.threads));
            let placed = |(place, depth): &(u32, u8)| Some(Line { depth: *depth, ..*lines.get(*place as usize)? });
            let lines = order.iter().filter_map(placed).collect();
            return replace(model, lines);
        }
        Input::Hits { number, lines, more } => {
            if let Some(search) = model.search.as_mut().filter(|search| search.number == number) {
                (search.asks, search.more) = (false, more);
                return replace(model, lines);
            }
        }
        Input::Heads(heads) => model.heads.extend(heads),
        Input::Text(reading) => opened(model, *reading),
        Input::Begun { draft, asks: false } => return vec![Effect::Edit(draft)],
        Input::Begun { draft, asks: true } => {
            model.draft = Some(draft);
            model.prompt = Some(Prompt::new(Asks::FirstTo, ""));
        }
        Input::Edited(draft) => {
            (model.draft, model.view) = (Some(draft), View::Draft);
        }
        Input::Sent { said, undo } => {
            model.keep_undo(undo);
            model.draft = None;
            model.view = if model.reading.is_some() { View::Reading } else { View::List };
            model.said = said;
        }
        Input::Done { said, undo } => {
            undo.into_iter().for_each(|undo| model.keep_undo(undo));
            model.said = said;
        }
        Input::Failed(why) => {
            (model.said, model.opens_next) = (why, false);
        }
        Input::Step(step) => model.step = step,
        Input::End => return vec![Effect::Quit],
        Input::List { .. } | Input::Key(_) | Input::Paste(_) | Input::Size(..) => {}
    }
    Vec::new()
}

/// The list once more.
fn again(model: &mut Model) -> Vec<Effect> {
    match &mut model.search {
        Some(search) if search.words.trim().is_empty() => Vec::new(),
        Some(search) => {
            model.searches += 1;
            (search.number, search.asks) = (model.searches, true);
            vec![Effect::Search { number: search.number, words: search.words.clone() }]
        }
        None => vec![Effect::List { mailbox: model.mailbox, threads: model.threads }],
    }
}

/// Places of `lines` as they were in the list before; what is new comes behind, by date. Without a list before: by date.
fn as_before(before: &[Line], lines: &[Line], keeps: bool) -> Vec<(u32, u8)> {
    let place = |(at, line): (usize, &Line)| (line.id, u32::try_from(at).unwrap_or(u32::MAX));
    let mut out: Vec<(u32, u8)> = Vec::with_capacity(lines.len());
    let mut new: Vec<u32> = (0..u32::try_from(lines.len()).unwrap_or(u32::MAX)).collect();
    if keeps {
        let places: HashMap<Id, u32> = lines.iter().enumerate().map(place).collect();
        out.extend(before.iter().filter_map(|line| Some((*places.get(&line.id)?, line.depth))));
        let known: HashSet<u32> = out.iter().map(|(place, _)| *place).collect();
        new.retain(|place| !known.contains(place));
    }
    new.sort_by_key(|place| lines.get(*place as usize).map(|line| line.date_secs));
    out.extend(new.into_iter().map(|place| (place, 0)));
    out
}

/// Another list in place of this one; what was chosen stays chosen while it is there.
fn replace(model: &mut Model, lines: Vec<Line>) -> Vec<Effect> {
    let first = !std::mem::replace(&mut model.listed, true);
    let chosen = model.wanted.take().or_else(|| model.line().filter(|_| !first).map(|line| line.id));
    let found = chosen.and_then(|id| lines.iter().position(|line| line.id == id));
    model.lines = lines;
    model.at = match found {
        Some(at) => at,
        None if first => model.lines.len().saturating_sub(1),
        None => model.at.min(model.lines.len().saturating_sub(1)),
    };
    if std::mem::take(&mut model.opens_next) {
        return match model.line().map(|line| line.id) {
            Some(id) => vec![Effect::Open(id)],
            None => {
                back_to_list(model);
                Vec::new()
            }
        };
    }
    Vec::new()
}

fn opened(model: &mut Model, mut reading: Reading) {
    // Shown as it was: with the whole header, or not.
    reading.whole_header = model.reading.as_ref().is_some_and(|before| before.whole_header);
    if let Some(line) = model.lines.iter_mut().find(|line| line.id == reading.id) {
        line.flags |= Flags::SEEN;
    }
    if let Some(at) = model.lines.iter().position(|line| line.id == reading.id) {
        model.at = at;
    } else {
        model.wanted = Some(reading.id);
    }
    model.file = 0;
    model.view = View::Reading;
    model.reading = Some(reading);
}

fn back_to_list(model: &mut Model) {
    (model.view, model.reading) = (View::List, None);
}

/// Into a mailbox.
fn enter(model: &mut Model, mailbox: MailboxId) -> Vec<Effect> {
    let mut effects = leave_search(model);
    back_to_list(model);
    model.mailbox = mailbox;
    model.lines.clear();
    (model.at, model.top, model.listed) = (0, 0, false);
    effects.push(Effect::List { mailbox, threads: model.threads });
    effects
}

fn leave_search(model: &mut Model) -> Vec<Effect> {
    match model.search.take() {
        Some(_) => {
            model.lines.clear();
            (model.at, model.top, model.listed) = (0, 0, false);
            vec![Effect::StopSearch]
        }
        None => Vec::new(),
    }
}

fn key(model: &mut Model, event: KeyEvent) -> Vec<Effect> {
    model.said.clear();
    if let Some(prompt) = &mut model.prompt {
        return match prompt.key(event) {
            Typed::Changed => typed(model),
            Typed::Same => Vec::new(),
            Typed::Complete => complete(model),
            Typed::Entered => entered(model),
            Typed::Left => left(model),
        };
    }
    match keys::act(model.view, event) {
        Some(act) => match (model.view, act) {
            (_, Act::Help) => {
                (model.behind_help, model.view, model.help_top) = (model.view, View::Help, 0);
                Vec::new()
            }
            (_, Act::Redraw) => vec![Effect::Redraw],
            (View::Help, act) => help(model, act),
            (View::Files, act) => files(model, act),
            (View::Draft, act) => draft(model, act),
            (View::List | View::Reading, act) => go(model, act).unwrap_or_else(|| change(model, act)),
        },
        None => {
            model.said = "? shows the keys".into();
            Vec::new()
        }
    }
}

fn help(model: &mut Model, act: Act) -> Vec<Effect> {
    match act {
        Act::LineDown => model.help_top = (model.help_top + 1).min(keys::help().len().saturating_sub(1)),
        Act::LineUp => model.help_top = model.help_top.saturating_sub(1),
        _ => model.view = model.behind_help,
    }
    Vec::new()
}

/// About in the list and in the text; `None`: the key changes something.
fn go(model: &mut Model, act: Act) -> Option<Vec<Effect>> {
    let layout = model.layout();
    let (page, last) = (usize::from(layout.list).max(1), model.lines.len().saturating_sub(1));
    if let (View::Reading, Some(reading)) = (model.view, &mut model.reading) {
        let page = usize::from(layout.text).saturating_sub(1).max(1);
        let top = match act {
            Act::LineDown => Some(reading.top + 1),
            Act::LineUp => Some(reading.top.saturating_sub(1)),
            Act::PageDown => Some(reading.top + page),
            Act::PageUp => Some(reading.top.saturating_sub(page)),
            _ => None,
        };
        if let Some(top) = top {
            reading.top = top;
            return Some(Vec::new());
        }
    }
    let at = match act {
        Act::Next => (model.at + 1).min(last),
        Act::Previous => model.at.saturating_sub(1),
        Act::PageDown => {
            model.top += page;
            (model.at + page).min(last)
        }
        Act::PageUp => {
            model.top = model.top.saturating_sub(page);
            model.at.saturating_sub(page)
        }
        Act::First => 0,
        Act::Last => last,
        Act::NextUnread => return Some(next_unread(model)),
        Act::Open => return Some(model.line().map(|line| Effect::Open(line.id)).into_iter().collect()),
        Act::Back if model.view == View::Reading => {
            back_to_list(model);
            return Some(Vec::new());
        }
        Act::Back => {
            let mut effects = leave_search(model);
            if !effects.is_empty() {
                effects.push(Effect::List { mailbox: model.mailbox, threads: model.threads });
            }
            return Some(effects);
        }
        Act::Quit => return Some(vec![Effect::Quit]),
        Act::Account if model.has_others => return Some(vec![Effect::Account]),
        Act::Account => {
            model.said = "there is no other account; `packetboat mail add` makes one".into();
            return Some(Vec::new());
        }
        _ => return None,
    };
    let moved = std::mem::replace(&mut model.at, at) != at;
    Some(match model.line() {
        Some(line) if moved && model.view == View::Reading => vec![Effect::Open(line.id)],
        _ => Vec::new(),
    })
}

/// The next in the list, and round.
fn next_unread(model: &mut Model) -> Vec<Effect> {
    let count = model.lines.len();
    let unread = |at: &usize| model.lines.get(*at).is_some_and(Line::is_unread);
    match (1..=count).map(|step| (model.at + step) % count).find(unread) {
        Some(at) => {
            model.at = at;
            let opens = model.view == View::Reading;
            model.line().filter(|_| opens).map(|line| Effect::Open(line.id)).into_iter().collect()
        }
        None => {
            model.said = "nothing is unread here".into();
            Vec::new()
        }
    }
}

/// Acts on messages, and what opens something.
fn change(model: &mut Model, act: Act) -> Vec<Effect> {
    match act {
        Act::Sync => return vec![Effect::Sync],
        Act::Write => {
            let from = model.identities.first().cloned().unwrap_or_default();
            model.draft = Some(Box::new(Draft { from, ..Draft::default() }));
            model.prompt = Some(Prompt::new(Asks::FirstTo, ""));
            return Vec::new();
        }
        Act::Search => {
            model.prompt = Some(Prompt::new(Asks::Search, ""));
            return Vec::new();
        }
        Act::Mailbox => {
            model.prompt = Some(Prompt::new(Asks::Mailbox, ""));
            return Vec::new();
        }
        Act::MailboxNext | Act::MailboxPrevious => return beside(model, act == Act::MailboxNext),
        Act::Threads => {
            model.threads = !model.threads;
            model.said = if model.threads { "by conversation" } else { "by date" }.into();
            return if model.search.is_some() { Vec::new() } else { again(model) };
        }
        Act::Undo => {
            return match model.undo.pop() {
                Some(undo) => vec![Effect::Undo(undo)],
                None => {
                    model.said = "nothing was changed here".into();
                    Vec::new()
                }
            };
        }
        Act::Headers => {
            if let Some(reading) = &mut model.reading {
                reading.whole_header = !reading.whole_header;
                reading.top = 0;
                reading.lines.clear();
            }
            return Vec::new();
        }
        Act::Files => {
            match &model.reading {
                Some(reading) if !reading.files.is_empty() => (model.view, model.file) = (View::Files, 0),
                _ => model.said = "no attachments".into(),
            }
            return Vec::new();
        }
        _ => {}
    }
    let Some(line) = model.target() else {
        model.said = "no message is chosen".into();
        return Vec::new();
    };
    on_message(model, act, line)
}

fn on_message(model: &mut Model, act: Act, line: Line) -> Vec<Effect> {
    let id = line.id;
    match act {
        Act::Delete => {
            model.opens_next = model.view == View::Reading;
            vec![Effect::Delete(id)]
        }
        Act::Flag => vec![Effect::Flag { id, flag: Flags::FLAGGED, set: line.flags & Flags::FLAGGED == 0 }],
        Act::ToggleNew => vec![Effect::Flag { id, flag: Flags::SEEN, set: line.is_unread() }],
        Act::Reply | Act::ReplyAll => vec![Effect::Answer { id, all: act == Act::ReplyAll }],
        Act::Forward => vec![Effect::Onward(id)],
        Act::Move | Act::Copy => {
            model.prompt = Some(Prompt::new(if act == Act::Move { Asks::Move } else { Asks::Copy }, ""));
            Vec::new()
        }
        _ => Vec::new(),
    }
}

/// The mailbox above or below.
fn beside(model: &mut Model, next: bool) -> Vec<Effect> {
    let Some(at) = model.folders.iter().position(|folder| folder.id == model.mailbox) else { return Vec::new() };
    let to = if next { at + 1 } else { at.wrapping_sub(1) };
    match model.folders.get(to).map(|folder| folder.id) {
        Some(id) => enter(model, id),
        None => Vec::new(),
    }
}

fn files(model: &mut Model, act: Act) -> Vec<Effect> {
    let count = model.reading.as_ref().map_or(0, |reading| reading.files.len());
    match act {
        Act::Next => model.file = (model.file + 1).min(count.saturating_sub(1)),
        Act::Previous => model.file = model.file.saturating_sub(1),
        Act::SaveOne => model.prompt = Some(Prompt::new(Asks::SaveOne, ".")),
        Act::SaveAll => model.prompt = Some(Prompt::new(Asks::SaveAll, ".")),
        _ => model.view = View::Reading,
    }
    Vec::new()
}

fn draft(model: &mut Model, act: Act) -> Vec<Effect> {
    let Some(draft) = &mut model.draft else {
        back_to_list(model);
        return Vec::new();
    };
    let (asks, line) = match act {
        Act::Send => return vec![Effect::Send(draft.clone())],
        Act::Edit => return vec![Effect::Edit(draft.clone())],
        Act::From => {
            let at = model.identities.iter().position(|one| *one == draft.from).map_or(0, |at| at + 1);
            if let Some(next) = model.identities.get(at).or(model.identities.first()) {
                draft.from.clone_from(next);
            }
            return Vec::new();
        }
        Act::To => (Asks::To, draft.to.as_str()),
        Act::Cc => (Asks::Cc, draft.cc.as_str()),
        Act::Bcc => (Asks::Bcc, draft.bcc.as_str()),
        Act::Subject => (Asks::Subject, draft.subject.as_str()),
        Act::Attach => (Asks::Attach, ""),
        _ => (Asks::Abort, ""),
    };
    model.prompt = Some(Prompt::new(asks, line));
    Vec::new()
}

/// The line at the foot is another one.
fn typed(model: &mut Model) -> Vec<Effect> {
    let Some(prompt) = &model.prompt else { return Vec::new() };
    let line = prompt.line();
    match prompt.asks {
        Asks::Search => {
            if line.trim().is_empty() {
                return match model.search.take() {
                    Some(_) => {
                        let mut effects = vec![Effect::StopSearch];
                        (model.listed, model.wanted) = (false, None);
                        effects.extend(again(model));
                        effects
                    }
                    None => Vec::new(),
                };
            }
            back_to_list(model);
            let shown = model.search.take();
            if shown.is_none() {
                model.listed = false;
            }
            model.search = Some(Search { words: line, more: shown.is_some_and(|before| before.more), ..Search::default() });
            again(model)
        }
        Asks::Abort => {
            let throws = line.eq_ignore_ascii_case("y");
            model.prompt = None;
            if throws {
                model.draft = None;
                model.view = if model.reading.is_some() { View::Reading } else { View::List };
                model.said = "thrown away".into();
            }
            Vec::new()
        }
        _ => Vec::new(),
    }
}

fn complete(model: &mut Model) -> Vec<Effect> {
    if let Some(prompt) = model.prompt.as_mut().filter(|prompt| prompt.asks.wants_mailbox()) {
        let fitting = prompt.complete(model.folders.iter().map(|folder| folder.name.as_str()));
        model.said = if fitting.len() > 1 { fitting.join("  ") } else { String::new() };
    }
    Vec::new()
}

/// Nothing of what was asked.
fn left(model: &mut Model) -> Vec<Effect> {
    let asked = model.prompt.take().map(|prompt| prompt.asks);
    match asked {
        Some(Asks::Search) => {
            let mut effects = leave_search(model);
            if !effects.is_empty() {
                effects.extend(again(model));
            }
            effects
        }
        Some(Asks::FirstTo | Asks::FirstSubject) => {
            model.draft = None;
            Vec::new()
        }
        _ => Vec::new(),
    }
}

/// What was asked is there.
fn entered(model: &mut Model) -> Vec<Effect> {
    let Some(prompt) = model.prompt.take() else { return Vec::new() };
    let line = prompt.line().trim().to_owned();
    match prompt.asks {
        Asks::Search | Asks::Abort => Vec::new(),
        Asks::Mailbox => go_to(model, &line),
        Asks::Move | Asks::Copy => match model.target() {
            Some(target) if !line.is_empty() => {
                let moves = prompt.asks == Asks::Move;
                model.opens_next = moves && model.view == View::Reading;
                vec![Effect::Transfer { id: target.id, to: line, moves }]
            }
            _ => Vec::new(),
        },
        Asks::SaveOne | Asks::SaveAll => {
            let which = (prompt.asks == Asks::SaveOne).then_some(model.file);
            match model.reading.as_ref().map(|reading| reading.id) {
                Some(id) if !line.is_empty() => vec![Effect::Save { id, which, folder: PathBuf::from(line) }],
                _ => Vec::new(),
            }
        }
        asks => answered(model, asks, line),
    }
}

/// A question about the draft.
fn answered(model: &mut Model, asks: Asks, line: String) -> Vec<Effect> {
    let Some(draft) = &mut model.draft else { return Vec::new() };
    match asks {
        Asks::FirstTo => {
            draft.to = line;
            let subject = draft.subject.clone();
            model.prompt = Some(Prompt::new(Asks::FirstSubject, &subject));
        }
        Asks::FirstSubject => {
            draft.subject = line;
            return model.draft.take().map(Effect::Edit).into_iter().collect();
        }
        Asks::To => draft.to = line,
        Asks::Cc => draft.cc = line,
        Asks::Bcc => draft.bcc = line,
        Asks::Subject => draft.subject = line,
        Asks::Attach if !line.is_empty() => draft.attach.push(PathBuf::from(line)),
        _ => {}
    }
    Vec::new()
}

/// The mailbox of this name, or the only one that begins so.
fn go_to(model: &mut Model, line: &str) -> Vec<Effect> {
    let typed = line.to_lowercase();
    let exact = model.folders.iter().find(|folder| folder.name.to_lowercase() == typed);
    let beginning: Vec<_> = model.folders.iter().filter(|folder| folder.name.to_lowercase().starts_with(&typed)).collect();
    let found = match (exact, beginning.as_slice()) {
        (Some(folder), _) => Some(folder.id),
        (None, [only]) if !typed.is_empty() => Some(only.id),
        _ => None,
    };
    match found {
        Some(id) => enter(model, id),
        None => {
            model.said = format!("no mailbox {line}");
            Vec::new()
        }
    }
}
