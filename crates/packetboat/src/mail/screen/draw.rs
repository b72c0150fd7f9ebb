//! How the model looks: a function of it. Only lines in sight are looked at.
//!
//! Invariant: every word goes through `text`, so nothing of a message commands the terminal. Must not know: what keys do.

use super::model::{Draft, Head, Line, Model, Reading, View};
use super::{keys, text};
use crate::mail::clock;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Position;
use ratatui::style::{Color, Modifier, Style};
use store::Flags;

/// Columns of the flags, the date and the sender in the list.
const FLAGS: usize = 5;
const DATE: usize = 10;
const FROM: usize = 20;
/// Of a search's hits: their mailbox.
const MAILBOX: usize = 12;
/// A conversation is not drawn deeper than this.
const DEPTH_MAX: u8 = 8;

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Palette {
    pub(super) coloured: bool,
}

impl Palette {
    fn colour(self, style: Style, colour: Color) -> Style {
        if self.coloured { style.fg(colour) } else { style }
    }

    fn bar(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    fn line(self, line: &Line) -> Style {
        let mut style = Style::new();
        if line.is_unread() {
            style = style.add_modifier(Modifier::BOLD);
        }
        if line.flags & Flags::FLAGGED != 0 {
            style = self.colour(style, Color::Yellow);
        } else if line.id.there {
            style = self.colour(style, Color::Blue);
        }
        style
    }

    /// Of a line of text.
    fn text(self, line: &str) -> Style {
        let quotes = line.chars().filter(|c| !c.is_whitespace()).take_while(|c| *c == '>').count();
        match quotes {
            0 => Style::new(),
            1 => self.colour(Style::new(), Color::Cyan),
            _ => self.colour(Style::new(), Color::Green),
        }
    }
}

fn put(buffer: &mut Buffer, (x, y): (u16, u16), words: &str, columns: u16, style: Style) {
    if buffer.area.contains(Position { x, y }) {
        let columns = columns.min(buffer.area.right().saturating_sub(x));
        buffer.set_stringn(x, y, text::cell(words, usize::from(columns)), usize::from(columns), style);
    }
}

/// The whole screen.
pub(super) fn draw(model: &Model, palette: Palette, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.height < 4 || area.width < 10 {
        return;
    }
    let layout = model.layout();
    let buffer = frame.buffer_mut();
    let keys = match model.view {
        View::List => "q quit  Enter read  m write  r reply  d delete  / search  c mailbox  ? help",
        View::Reading => "q back  j/k next/before  Space on  r reply  g all  f forward  d delete  v files  h header  ? help",
        View::Files => "q back  s save  a save all  ? help",
        View::Draft => "y send  e edit  t to  c cc  b bcc  s subject  a attach  f from  q throw away  ? help",
        View::Help => "q close",
    };
    put(buffer, (0, 0), &format!("{}   {keys}", model.address), area.width, palette.bar());
    if layout.side > 0 {
        side(model, palette, buffer, layout.side);
    }
    let (x, width, rows) = (layout.side, layout.width, area.height.saturating_sub(3));
    match model.view {
        View::Help => help(model, palette, buffer, (x, width, rows)),
        View::Draft => {
            if let Some(draft) = &model.draft {
                compose(draft, palette, buffer, (x, width, rows));
            }
        }
        View::List | View::Reading | View::Files => {
            list(model, palette, buffer, (x, width));
            if let Some(reading) = model.reading.as_ref().filter(|_| model.view != View::List) {
                let top = 1 + layout.list;
                let at = (x, top, width, layout.text);
                match model.view {
                    View::Files => files(reading, model.file, palette, buffer, at),
                    _ => message(reading, palette, buffer, at),
                }
            }
        }
    }
    put(buffer, (0, area.height - 2), &state(model), area.width, palette.bar());
    let foot = area.height - 1;
    match &model.prompt {
        Some(prompt) => {
            let (words, line) = (prompt.asks.words(), prompt.line());
            let before = text::width(words) + prompt.cursor_column();
            // The end of a long line is what one is typing.
            let room = usize::from(area.width).saturating_sub(1);
            let (shown, column) = if before > room {
                let skipped = before - room;
                (format!("{words}{line}").chars().skip(skipped).collect(), room)
            } else {
                (format!("{words}{line}"), before)
            };
            put(buffer, (0, foot), &shown, area.width, Style::new());
            let x = u16::try_from(column).unwrap_or(u16::MAX).min(area.width.saturating_sub(1));
            frame.set_cursor_position(Position { x, y: foot });
        }
        None => put(buffer, (0, foot), &model.said, area.width, Style::new()),
    }
}

/// The line above the foot.
fn state(model: &Model) -> String {
    let list = match &model.search {
        Some(search) => {
            let (count, more) = (model.lines.len(), if search.more { ", the newest" } else { "" });
            match (search.asks, model.listed) {
                (true, false) => format!("searching {}", search.words),
                (true, true) => format!("{count} found{more}, searching {}", search.words),
                (false, _) => format!("{count} found{more}: {}", search.words),
            }
        }
        None => match model.folder(model.mailbox) {
            Some(folder) => {
                let place = if model.lines.is_empty() { 0 } else { model.at + 1 };
                format!("{}  {place}/{}  {} unread", folder.name, folder.messages, folder.unread)
            }
            None => String::new(),
        },
    };
    if model.step.is_empty() { format!(" {list}") } else { format!(" {list}   |   {}", model.step) }
}

/// The pane of mailboxes; the one that is open stays in sight.
fn side(model: &Model, palette: Palette, buffer: &mut Buffer, width: u16) {
    let rows = buffer.area.height.saturating_sub(3);
    let open = model.folders.iter().position(|folder| folder.id == model.mailbox).unwrap_or(0);
    let top = (open + 1).saturating_sub(usize::from(rows));
    for row in 0..rows {
        let y = row + 1;
        let folder = model.folders.get(top + usize::from(row));
        if let Some(folder) = folder {
            let counts = match folder.unread {
                0 => format!(" {}", folder.messages),
                unread => format!(" {unread}/{}", folder.messages),
            };
            let name = usize::from(width).saturating_sub(2 + text::width(&counts));
            let mut style = if folder.unread > 0 { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
            if folder.id == model.mailbox && model.search.is_none() {
                style = style.add_modifier(Modifier::REVERSED);
            }
            put(buffer, (0, y), &format!("{}{counts}", text::cell(&folder.name, name)), width - 1, style);
        }
        put(buffer, (width - 1, y), "│", 1, palette.colour(Style::new(), Color::DarkGray));
    }
}

fn list(model: &Model, palette: Palette, buffer: &mut Buffer, (x, width): (u16, u16)) {
    let rows = model.layout().list;
    if rows > 0 && model.lines.is_empty() {
        let words = match (&model.search, model.listed) {
            (Some(search), _) if search.asks => "",
            (Some(_), _) => "nothing is found",
            (None, true) => "no messages here",
            (None, false) => "",
        };
        put(buffer, (x, 1), words, width, Style::new());
    }
    let unknown = Head::default();
    for (row, line) in (0..rows).zip(model.in_sight()) {
        let mut style = palette.line(line);
        if model.top + usize::from(row) == model.at {
            style = style.add_modifier(Modifier::REVERSED);
        }
        let head = model.heads.get(&line.id).unwrap_or(&unknown);
        let words = list_line(model, line, head);
        put(buffer, (x, row + 1), &words, width, style);
    }
}

fn list_line(model: &Model, line: &Line, head: &Head) -> String {
    let mark = |is: bool, mark: char| if is { mark } else { ' ' };
    let flags: String = [
        mark(line.is_unread(), 'N'),
        mark(line.flags & Flags::FLAGGED != 0, '!'),
        mark(line.flags & Flags::ANSWERED != 0, 'r'),
        if line.id.there { 's' } else { mark(head.attachments, '@') },
    ]
    .iter()
    .collect();
    let date: String = clock::local(line.date_secs).chars().take(DATE).collect();
    let from = text::cell(sender(&head.from), FROM);
    let mailbox = match &model.search {
        Some(_) => {
            let name = model.folder(line.id.mailbox).map_or("", |folder| folder.name.as_str());
            format!("{} ", text::cell(name, MAILBOX))
        }
        None => String::new(),
    };
    let depth = usize::from(line.depth.min(DEPTH_MAX));
    let tree = if depth == 0 { String::new() } else { format!("{}└>", "  ".repeat(depth - 1)) };
    format!("{} {date} {from} {mailbox}{tree}{}", text::cell(&flags, FLAGS - 1), text::clean(&head.subject))
}

/// The name, or without one the address.
fn sender(from: &str) -> &str {
    let name = from.split_once('<').map_or(from, |(name, _)| name).trim().trim_matches('"');
    if name.is_empty() { from } else { name }
}

/// The bar between the list and what is under it.
fn bar(palette: Palette, buffer: &mut Buffer, (x, y, width): (u16, u16, u16), words: &str) {
    put(buffer, (x, y), words, width, palette.bar());
}

fn message(reading: &Reading, palette: Palette, buffer: &mut Buffer, (x, y, width, rows): (u16, u16, u16, u16)) {
    let subject = reading.fields.iter().find(|(name, _)| name == "Subject").map_or("", |(_, subject)| subject.as_str());
    let seen = reading.lines.len().min(reading.top + usize::from(rows));
    let percent = (seen * 100).checked_div(reading.lines.len()).unwrap_or(100);
    let room = usize::from(width).saturating_sub(8);
    bar(palette, buffer, (x, y, width), &format!(" {} {percent:>4}%", text::cell(subject, room)));
    for (row, line) in (0..rows).zip(reading.lines.iter().skip(reading.top)) {
        put(buffer, (x, y + 1 + row), line, width, palette.text(line));
    }
}

fn files(reading: &Reading, chosen: usize, palette: Palette, buffer: &mut Buffer, (x, y, width, rows): (u16, u16, u16, u16)) {
    bar(palette, buffer, (x, y, width), " Attachments");
    let top = (chosen + 1).saturating_sub(usize::from(rows));
    for (row, (at, file)) in (0..rows).zip(reading.files.iter().enumerate().skip(top)) {
        let style = if at == chosen { palette.bar() } else { Style::new() };
        let words = format!("{:>10}  {}  {}", file.size_bytes, text::cell(&file.kind, 28), text::clean(&file.name));
        put(buffer, (x, y + 1 + row), &words, width, style);
    }
}

fn compose(draft: &Draft, palette: Palette, buffer: &mut Buffer, (x, width, rows): (u16, u16, u16)) {
    bar(palette, buffer, (x, 1, width), " Not sent yet: y sends it");
    let mut lines: Vec<String> =
        [("From", &draft.from), ("To", &draft.to), ("Cc", &draft.cc), ("Bcc", &draft.bcc), ("Subject", &draft.subject)]
            .iter()
            .map(|(name, value)| format!("{name:>8}: {}", text::clean(value)))
            .collect();
    lines.extend(draft.attach.iter().map(|file| format!("attached: {}", text::clean(&file.to_string_lossy()))));
    if draft.about.has_whole() {
        lines.push("attached: the message that is passed on".into());
    }
    lines.push(String::new());
    let room = usize::from(rows).saturating_sub(lines.len());
    // No more of it than fits is looked at.
    let begin: String = draft.text.lines().take(room).map(|line| format!("{line}\n")).collect();
    lines.extend(text::wrap(&begin, usize::from(width)));
    for (row, line) in (1..rows).zip(&lines) {
        put(buffer, (x, row + 1), line, width, palette.text(line));
    }
}

fn help(model: &Model, palette: Palette, buffer: &mut Buffer, (x, width, rows): (u16, u16, u16)) {
    bar(palette, buffer, (x, 1, width), " Keys");
    for (row, (keys, what)) in (1..rows).zip(keys::help().into_iter().skip(model.help_top)) {
        let style = if keys.is_empty() { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
        put(buffer, (x, row + 1), &format!("{} {what}", text::cell(&keys, 16)), width, style);
    }
}
