//! The methods: each with its name, what a request has to be using for it, what it is about, and who carries it out.
//!
//! Invariant: a method that is not here is not known. Must not know: arguments.

use super::args::Args;
use super::singleton::Only;
use super::{Answers, BLOB, CORE, Context, MAIL, MDN, PROGRAM, QUOTA, SUBMISSION, VACATION};
use super::{
    blob_methods, email, identity, mailbox, mdn, people, push_subscription, quota, singleton, snippet, snooze, submission,
    thread, trace, undo,
};
use std::future::Future;
use std::pin::Pin;

type Work<'a> = Pin<Box<dyn Future<Output = Answers> + Send + 'a>>;

/// What a method is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// No account (RFC 8620 §4.1, §7.2).
    Nothing,
    /// One's own account: everybody's own affair.
    Own,
    /// Mail, which others may share.
    Mail,
}

/// One method.
pub(super) struct Method {
    name: &'static str,
    /// Capabilities that the request has to be using.
    pub(super) of: &'static [&'static str],
    pub(super) about: About,
    pub(super) run: for<'a, 'b> fn(&'a mut Context<'b>, Args) -> Work<'a>,
}

/// What decides where mail goes, and as whom it is sent, from now on: it outlives the password that a program was given.
const ITS_OWNERS: [&str; 2] = ["Identity/set", "MailRules/set"];

impl Method {
    /// Is it for who signed in with the account's own password?
    pub(super) fn is_its_owners(&self) -> bool {
        ITS_OWNERS.contains(&self.name)
    }
}

/// One that answers once.
macro_rules! once {
    ($name:literal, $of:expr, $about:ident, $run:path $(, $more:expr)?) => {
        Method {
            name: $name,
            of: &$of,
            about: About::$about,
            run: |context, args| {
                Box::pin(async move { Ok(vec![($name.to_owned(), $run(context, args $(, $more)?).await?)]) })
            },
        }
    };
}

/// One that answers as often as it does something.
macro_rules! often {
    ($name:literal, $of:expr, $about:ident, $run:path) => {
        Method { name: $name, of: &$of, about: About::$about, run: |context, args| Box::pin($run(context, args)) }
    };
}

static METHODS: &[Method] = &[
    often!("Core/echo", [CORE], Nothing, echo),
    once!("Blob/copy", [CORE], Mail, blob_methods::copy),
    once!("PushSubscription/get", [CORE], Nothing, push_subscription::get),
    once!("PushSubscription/set", [CORE], Nothing, push_subscription::set),
    once!("Mailbox/get", [MAIL], Mail, mailbox::get),
    once!("Mailbox/changes", [MAIL], Mail, mailbox::changes),
    once!("Mailbox/query", [MAIL], Mail, mailbox::query),
    once!("Mailbox/queryChanges", [MAIL], Mail, mailbox::query_changes),
    once!("Mailbox/set", [MAIL], Mail, mailbox::set),
    once!("Thread/get", [MAIL], Mail, thread::get),
    once!("Thread/changes", [MAIL], Mail, thread::changes),
    once!("Email/get", [MAIL], Mail, email::get),
    once!("Email/changes", [MAIL], Mail, email::changes),
    once!("Email/query", [MAIL], Mail, email::query),
    once!("Email/queryChanges", [MAIL], Mail, email::query_changes),
    once!("Email/set", [MAIL], Mail, email::set),
    often!("Email/copy", [MAIL], Mail, email::copy),
    once!("Email/import", [MAIL], Mail, email::import),
    once!("Email/parse", [MAIL], Mail, email::parse),
    once!("SearchSnippet/get", [MAIL], Mail, snippet::get),
    once!("Identity/get", [SUBMISSION], Own, identity::get),
    once!("Identity/changes", [SUBMISSION], Own, identity::changes),
    once!("Identity/set", [SUBMISSION], Own, identity::set),
    once!("EmailSubmission/get", [SUBMISSION], Own, submission::get),
    once!("EmailSubmission/changes", [SUBMISSION], Own, submission::changes),
    once!("EmailSubmission/query", [SUBMISSION], Own, submission::query),
    once!("EmailSubmission/queryChanges", [SUBMISSION], Own, submission::query_changes),
    often!("EmailSubmission/set", [SUBMISSION], Own, submission::set),
    once!("VacationResponse/get", [VACATION], Own, singleton::get, Only::VacationResponse),
    once!("VacationResponse/changes", [VACATION], Own, singleton::changes, Only::VacationResponse),
    once!("VacationResponse/set", [VACATION], Own, singleton::set, Only::VacationResponse),
    once!("Quota/get", [QUOTA], Own, quota::get),
    once!("Quota/changes", [QUOTA], Own, quota::changes),
    once!("Quota/query", [QUOTA], Own, quota::query),
    once!("Quota/queryChanges", [QUOTA], Own, quota::query_changes),
    // "The `using` property of the Request object MUST contain the capabilities" of both (RFC 9007 §2.1).
    often!("MDN/send", [MDN, MAIL], Own, mdn::send),
    once!("MDN/parse", [MDN], Own, mdn::parse),
    once!("Blob/upload", [BLOB], Mail, blob_methods::upload),
    once!("Blob/get", [BLOB], Mail, blob_methods::get),
    once!("Blob/lookup", [BLOB], Mail, blob_methods::lookup),
    once!("MailRules/get", [PROGRAM], Own, singleton::get, Only::MailRules),
    once!("MailRules/changes", [PROGRAM], Own, singleton::changes, Only::MailRules),
    once!("MailRules/set", [PROGRAM], Own, singleton::set, Only::MailRules),
    once!("Trace/get", [PROGRAM], Own, trace::get),
    once!("Undo/get", [PROGRAM], Own, undo::get),
    once!("Undo/restore", [PROGRAM], Own, undo::restore),
    once!("Person/get", [PROGRAM], Own, people::get),
    once!("Person/changes", [PROGRAM], Own, people::changes),
    once!("Person/set", [PROGRAM], Own, people::set),
    once!("Snooze/get", [PROGRAM], Own, snooze::get),
    once!("Snooze/changes", [PROGRAM], Own, snooze::changes),
    once!("Snooze/set", [PROGRAM], Own, snooze::set),
];

/// The method of this name.
pub(super) fn method(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|one| one.name == name)
}

/// `Core/echo` (RFC 8620 §4)
async fn echo(_context: &mut Context<'_>, args: Args) -> Answers {
    Ok(vec![("Core/echo".to_owned(), args.into_object())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_there_once() {
        for one in METHODS {
            assert_eq!(METHODS.iter().filter(|other| other.name == one.name).count(), 1, "{}", one.name);
        }
    }
}
