//! What the screen knows: values only. Everything that happens to it is in `update`, how it looks in `draw`.
//!
//! Invariant: of the messages of a list only small lines are held, and heads (sender, subject) of those that were looked at.
//! Must not know: the store's acts, the terminal, the network.

use super::prompt::Prompt;
use super::text;
use crate::mail::compose::About;
use ratatui::crossterm::event::KeyEvent;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use store::{EmailId, Flags, MailboxId, QueueId, Uid};

/// Heads that are held; when there are more, those out of sight go.
const HEADS_MAX: usize = 4_000;
/// Changes that can be taken back.
const UNDO_MAX: usize = 100;
/// Narrower than this, there is no pane of mailboxes.
const WIDE: u16 = 70;

/// What is in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    List,
    Reading,
    Files,
    Draft,
    Help,
}

/// A mailbox with its counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) id: MailboxId,
    pub(super) name: String,
    pub(super) messages: u32,
    pub(super) unread: u32,
}

/// Which message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Id {
    pub(super) mailbox: MailboxId,
    /// Here; or there, when it is only on the server.
    pub(super) uid: Uid,
    pub(super) there: bool,
}

/// A message in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) id: Id,
    pub(super) email: EmailId,
    /// Bits of [`Flags`].
    pub(super) flags: u8,
    pub(super) date_secs: i64,
    /// How deep in its conversation.
    pub(super) depth: u8,
}

impl Line {
    pub(super) fn is_unread(&self) -> bool {
        self.flags & Flags::SEEN == 0
    }
}

/// What is shown of a message in the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) from: String,
    pub(super) subject: String,
    pub(super) attachments: bool,
}

/// An attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) size_bytes: u64,
}

/// The message that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) id: Id,
    /// (name, text)
    pub(super) fields: Vec<(String, String)>,
    pub(super) header: String,
    pub(super) text: String,
    pub(super) files: Vec<File>,
    pub(super) whole_header: bool,
    /// As they stand on the screen, for this width.
    pub(super) lines: Vec<String>,
    pub(super) width: u16,
    pub(super) top: usize,
}

impl Reading {
    /// Lays the text out, if that is not done for this width.
    pub(super) fn lay_out(&mut self, width: u16) {
        if self.width == width && !self.lines.is_empty() {
            return;
        }
        let columns = usize::from(width);
        self.width = width;
        self.lines.clear();
        if self.whole_header {
            self.lines.extend(text::wrap(self.header.trim_end(), columns));
        } else {
            for (name, value) in &self.fields {
                self.lines.extend(text::wrap(&format!("{name}: {}", text::clean(value)), columns));
            }
        }
        for file in &self.files {
            self.lines.push(text::cut(&format!("[{}, {}, {} octets]", file.name, file.kind, file.size_bytes), columns));
        }
        self.lines.push(String::new());
        self.lines.extend(text::wrap(&self.text, columns));
    }
}

/// A message that is being written.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) cc: String,
    pub(super) bcc: String,
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) attach: Vec<PathBuf>,
    /// What it answers or passes on.
    pub(super) about: About,
}

/// How a change is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Undo {
    /// From where they are to where they were.
    MoveBack { at: MailboxId, uids: Vec<Uid>, to: MailboxId },
    /// What was expunged.
    Restore(Vec<EmailId>),
    /// What was copied goes.
    Remove { at: MailboxId, uids: Vec<Uid> },
    /// A flag.
    Flag { id: Id, flag: u8, set: bool },
    /// Out of the outbox.
    TakeBack(QueueId),
}

/// A search over the account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Search {
    pub(super) words: String,
    /// Only the answer to the last question counts.
    pub(super) number: u64,
    pub(super) asks: bool,
    pub(super) more: bool,
}

/// What is to be done outside of the model.
#[derive(Debug, Clone)]
pub(super) enum Effect {
    /// The lines of a mailbox.
    List {
        mailbox: MailboxId,
        threads: bool,
    },
    /// Heads of lines in sight.
    Heads(Vec<(Id, EmailId)>),
    Open(Id),
    Search {
        number: u64,
        words: String,
    },
    StopSearch,
    Flag {
        id: Id,
        flag: u8,
        set: bool,
    },
    Delete(Id),
    Transfer {
        id: Id,
        to: String,
        moves: bool,
    },
    Undo(Undo),
    Sync,
    Answer {
        id: Id,
        all: bool,
    },
    Onward(Id),
    Edit(Box<Draft>),
    Send(Box<Draft>),
    Save {
        id: Id,
        which: Option<usize>,
        folder: PathBuf,
    },
    Redraw,
    /// On to the next account.
    Account,
    Quit,
}

/// What happens to the model.
#[derive(Debug)]
pub(super) enum Input {
    Key(KeyEvent),
    Paste(String),
    Size(u16, u16),
    /// Something changed in the store.
    Changed,
    Folders(Vec<Folder>),
    /// `order`: places in `lines` with their depths, when conversations are known; else as before.
    List {
        mailbox: MailboxId,
        lines: Vec<Line>,
        order: Option<Vec<(u32, u8)>>,
    },
    Hits {
        number: u64,
        lines: Vec<Line>,
        more: bool,
    },
    Heads(Vec<(Id, Head)>),
    Text(Box<Reading>),
    /// A draft from an answer or a forward, to be edited; `asks`: to whom is not known yet.
    Begun {
        draft: Box<Draft>,
        asks: bool,
    },
    /// Out of the editor.
    Edited(Box<Draft>),
    Sent {
        said: String,
        undo: Undo,
    },
    Done {
        said: String,
        undo: Option<Undo>,
    },
    Failed(String),
    /// How the sync stands.
    Step(String),
    /// Somebody asks the program to end.
    End,
}

/// Everything.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) address: String,
    /// The user has other accounts, too.
    pub(super) has_others: bool,
    pub(super) identities: Vec<String>,
    pub(super) size: (u16, u16),
    pub(super) folders: Vec<Folder>,
    pub(super) mailbox: MailboxId,
    pub(super) lines: Vec<Line>,
    /// The chosen line, and the first in sight.
    pub(super) at: usize,
    pub(super) top: usize,
    pub(super) heads: HashMap<Id, Head>,
    pub(super) asked: HashSet<Id>,
    pub(super) threads: bool,
    /// The lines are these of `mailbox`; not yet after a change of mailbox.
    pub(super) listed: bool,
    /// To be chosen in the next list.
    pub(super) wanted: Option<Id>,
    /// The chosen line of the next list is opened.
    pub(super) opens_next: bool,
    pub(super) search: Option<Search>,
    pub(super) searches: u64,
    pub(super) view: View,
    /// Where the help was asked for, and how far it is read.
    pub(super) behind_help: View,
    pub(super) help_top: usize,
    pub(super) reading: Option<Reading>,
    pub(super) file: usize,
    pub(super) draft: Option<Box<Draft>>,
    pub(super) prompt: Option<Prompt>,
    pub(super) said: String,
    pub(super) step: String,
    pub(super) undo: Vec<Undo>,
}

/// Where things stand on the screen, in columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Columns of the pane of mailboxes; 0: none.
    pub(super) side: u16,
    /// Columns of the rest.
    pub(super) width: u16,
    /// Rows of the list.
    pub(super) list: u16,
    /// Rows of the text under it.
    pub(super) text: u16,
}

impl Model {
    pub(super) fn new(address: &str, identities: Vec<String>, inbox: MailboxId, size: (u16, u16)) -> Model {
        Model {
            address: address.to_owned(),
            identities,
            has_others: false,
            size,
            folders: Vec::new(),
            mailbox: inbox,
            lines: Vec::new(),
            at: 0,
            top: 0,
            heads: HashMap::new(),
            asked: HashSet::new(),
            threads: true,
            listed: false,
            wanted: None,
            opens_next: false,
            search: None,
            searches: 0,
            view: View::List,
            behind_help: View::List,
            help_top: 0,
            reading: None,
            file: 0,
            draft: None,
            prompt: None,
            said: String::new(),
            step: String::new(),
            undo: Vec::new(),
        }
    }

    pub(super) fn layout(&self) -> Layout {
        let (columns, rows) = self.size;
        let side = if columns < WIDE { 0 } else { (columns / 4).min(30) };
        // A line above; the state and the prompt below.
        let middle = rows.saturating_sub(3);
        let reads = self.reading.is_some() && matches!(self.view, View::Reading | View::Files);
        // A bar parts the list from the text; on a low screen the text has it all.
        let list = match reads {
            true if middle < 12 => 0,
            true => (middle / 3).max(3),
            false => middle,
        };
        let text = if reads { middle - list - 1.min(middle) } else { 0 };
        Layout { side, width: columns - side, list, text }
    }

    pub(super) fn line(&self) -> Option<&Line> {
        self.lines.get(self.at)
    }

    pub(super) fn folder(&self, id: MailboxId) -> Option<&Folder> {
        self.folders.iter().find(|folder| folder.id == id)
    }

    /// What an act is about: the open message, else the chosen line.
    pub(super) fn target(&self) -> Option<Line> {
        match (&self.view, &self.reading) {
            (View::Reading | View::Files, Some(reading)) => {
                let known = self.lines.iter().find(|line| line.id == reading.id).copied();
                known.or_else(|| self.line().copied())
            }
            _ => self.line().copied(),
        }
    }

    pub(super) fn keep_undo(&mut self, undo: Undo) {
        if self.undo.len() >= UNDO_MAX {
            self.undo.remove(0);
        }
        self.undo.push(undo);
    }

    /// Lines in sight.
    pub(super) fn in_sight(&self) -> &[Line] {
        let rows = usize::from(self.layout().list).max(1);
        self.lines.get(self.top..self.lines.len().min(self.top + rows)).unwrap_or_default()
    }

    /// After anything: the chosen line is in sight, the text is laid out; the heads that are missing.
    pub(super) fn settle(&mut self) -> Option<Effect> {
        let layout = self.layout();
        let rows = usize::from(layout.list).max(1);
        self.at = self.at.min(self.lines.len().saturating_sub(1));
        if self.at < self.top {
            self.top = self.at;
        } else if self.at >= self.top + rows {
            self.top = self.at + 1 - rows;
        }
        // No empty room below while there is something above.
        self.top = self.top.min(self.lines.len().saturating_sub(rows));
        if let Some(reading) = &mut self.reading {
            reading.lay_out(layout.width);
            reading.top = reading.top.min(reading.lines.len().saturating_sub(usize::from(layout.text).max(1)));
        }
        if self.heads.len() > HEADS_MAX {
            let seen: HashSet<Id> = self.in_sight().iter().map(|line| line.id).collect();
            self.heads.retain(|id, _| seen.contains(id));
            self.asked.retain(|id| seen.contains(id));
        }
        let missing: Vec<(Id, EmailId)> =
            self.in_sight().iter().filter(|line| !self.asked.contains(&line.id)).map(|line| (line.id, line.email)).collect();
        self.asked.extend(missing.iter().map(|(id, _)| *id));
        (!missing.is_empty()).then_some(Effect::Heads(missing))
    }
}
