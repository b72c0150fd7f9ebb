//! Content streams (ISO 32000-1 §9.4): which strings a page shows, in the order they are drawn.
//!
//! Words and lines that stand apart are parted by one space, so that what runs over a line's end is found as well. Must not know:
//! fonts' tables.

use super::Document;
use super::font::Font;
use super::object::{Object, Reader};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Forms within forms.
const DEPTH_MAX: usize = 5;
const OPERANDS_MAX: usize = 10_000;
/// A gap between glyphs, in thousandths of their size, that is a space.
const GAP: f64 = -180.0;

/// What an operator changes.
struct Pen<'t> {
    text: &'t mut String,
    font: Option<Rc<Font>>,
    /// Of this stream, by name.
    fonts: BTreeMap<String, Option<Rc<Font>>>,
}

/// Puts what is shown behind `text`; `None` at the budget's end.
pub(super) fn show(
    document: &mut Document<'_>,
    octets: &[u8],
    resources: Option<&Object>,
    text: &mut String,
    depth: usize,
) -> Option<()> {
    let mut reader = Reader::new(octets);
    let mut operands: Vec<Object> = Vec::new();
    let mut pen = Pen { text, font: None, fonts: BTreeMap::new() };
    while let Some(object) = reader.object(&mut document.budget) {
        let Object::Word(operator) = object else {
            if operands.len() < OPERANDS_MAX {
                operands.push(object);
            }
            continue;
        };
        match operator.as_str() {
            "ID" => reader.skip_picture(),
            "Do" if depth < DEPTH_MAX => {
                if let Some(Object::Name(name)) = operands.last() {
                    form(document, name, resources, pen.text, depth)?;
                }
            }
            operator => pen.write(document, operator, &operands, resources)?,
        }
        operands.clear();
    }
    // The end of the octets, or of the budget?
    document.budget.step()
}

/// A form is a page within the page.
fn form(document: &mut Document<'_>, name: &str, resources: Option<&Object>, text: &mut String, depth: usize) -> Option<()> {
    let Some(objects) = resources.and_then(|resources| document.entry(resources, "XObject")) else { return Some(()) };
    let Some(form) = document.entry(&objects, name) else { return Some(()) };
    if !form.get("Subtype").is_some_and(|kind| kind.is_name("Form")) {
        return Some(());
    }
    let octets = document.unpacked(&form)?;
    let own = document.entry(&form, "Resources");
    show(document, &octets, own.as_ref().or(resources), text, depth + 1)
}

impl Pen<'_> {
    fn write(
        &mut self,
        document: &mut Document<'_>,
        operator: &str,
        operands: &[Object],
        resources: Option<&Object>,
    ) -> Option<()> {
        match (operator, operands) {
            ("Tf", [Object::Name(name), ..]) => {
                if !self.fonts.contains_key(name) {
                    let font = document.font(resources, name);
                    self.fonts.insert(name.clone(), font);
                }
                self.font = self.fonts.get(name).cloned().flatten();
            }
            ("Tj", [.., Object::Text(string)]) => self.string(document, string)?,
            ("'" | "\"", [.., Object::Text(string)]) => {
                self.space(document)?;
                self.string(document, string)?;
            }
            ("TJ", [.., Object::Array(pieces)]) => {
                for piece in pieces {
                    match piece {
                        Object::Text(string) => self.string(document, string)?,
                        Object::Number(gap) if *gap < GAP => self.space(document)?,
                        _ => {}
                    }
                }
            }
            ("Td" | "TD", [x, y]) if x.number() == Some(0.0) && y.number() == Some(0.0) => {}
            ("Td" | "TD" | "T*" | "Tm" | "ET", _) => self.space(document)?,
            _ => {}
        }
        Some(())
    }

    fn string(&mut self, document: &mut Document<'_>, string: &[u8]) -> Option<()> {
        match &self.font {
            Some(font) => font.show(string, self.text, &mut document.budget),
            None => Some(()),
        }
    }

    fn space(&mut self, document: &mut Document<'_>) -> Option<()> {
        match self.text.chars().next_back() {
            None | Some(' ') => Some(()),
            Some(_) => document.budget.write(" ", self.text),
        }
    }
}
