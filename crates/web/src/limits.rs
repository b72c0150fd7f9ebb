//! Every bound of the web face, by name. JMAP advertises its own in the session resource (RFC 8620 §2).

use std::time::Duration;

/// A request's head, and a silent peer who is owed a request, is waited for so long, if the owner says nothing else.
pub const CONNECTION_MAX: Duration = Duration::from_secs(30);
/// So long a connection that is over is still read, within [`UNWANTED_BYTES_MAX`].
pub const LINGER_MAX: Duration = Duration::from_secs(2);
/// A request's body gets this long (twice what the head gets, where that is less), and a second more for every so many octets.
pub const BODY_SECS_MAX: u64 = 60;
/// See [`BODY_SECS_MAX`].
pub const BODY_BYTES_PER_SEC_MIN: u64 = 16 * 1024;
/// The body of a small request (`/api/...`).
pub const SMALL_BODY_BYTES_MAX: u64 = 256 * 1024;
/// Recipients of which `/api/largest` tells what they take.
pub const RECIPIENTS_ASKED_MAX: usize = 1_000;
/// So much of a body that is not wanted is still read before the answer, so that the answer is not lost in a reset.
pub const DISCARDED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// ... and of a file that is not taken to its end: they are large.
pub const STOPPED_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// A body nobody asked for is answered 413 when it is larger.
pub const UNWANTED_BYTES_MAX: u64 = 1024 * 1024;
/// Files in a ZIP archive that is taken in.
pub const ARCHIVE_ENTRIES_MAX: usize = 200_000;
/// Octets that one may unpack to ...
pub const ARCHIVE_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// ... and past so many of them ...
pub const ARCHIVE_UNJUDGED_BYTES: u64 = 16 * 1024 * 1024;
/// ... no more than so many for each octet that came. Mail is packed to a third or so.
pub const ARCHIVE_RATIO_MAX: u64 = 100;
/// Octets of a request's head.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A browser session not used for so long is over.
pub const SESSION_IDLE_SECS: i64 = 30 * 86_400;
/// No browser session lives longer.
pub const SESSION_SECS_MAX: i64 = 180 * 86_400;
/// Its last use is written down again after so long.
pub const SESSION_NOTED_SECS: i64 = 86_400;
/// A sign-in that was looked at longer ago is looked at again when all of the request has come.
pub const SIGN_IN_TRUSTED: Duration = Duration::from_millis(250);
/// Browser sessions of an account; the longest unused gives way.
pub const SESSIONS_MAX: usize = 100;
/// What is kept of a User-Agent.
pub const USER_AGENT_BYTES_MAX: usize = 200;
/// A sign-in that was refused because too many wait is told to come back after so long.
pub const RETRY_AFTER_SECS: u64 = 30;

/// Characters of a new password.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// Wrong codes of a second factor before none is listened to ...
pub const CODE_FAILURES_MAX: u32 = 10;
/// ... until so long after the first of them.
pub const CODE_FAILURES_SECS: i64 = 600;
/// Codes to write down.
pub const RECOVERY_CODES: usize = 8;
/// A link to a profile is good for so long ...
pub const PROFILE_SECS: i64 = 600;
/// ... so many of an account wait at once, of which the oldest gives way ...
pub const PROFILES_OF_ONE_MAX: usize = 10;
/// ... and of all accounts together so many.
pub const PROFILES_MAX: usize = 1000;
/// Times that an account may have other people's servers asked ...
pub const LOOKS_MAX: u32 = 40;
/// ... within so long.
pub const LOOKS_SECS: i64 = 600;
/// Other people's servers that are asked at the same time, for pages that wait.
pub const LINKS_AT_ONCE_MAX: usize = 16;
/// Lines of a dialogue that wait for a slow page.
pub const WIRE_WAITING_MAX: usize = 64;

/// Identities of an account.
pub const IDENTITIES_MAX: usize = 500;
/// People of an account's address book.
pub const PEOPLE_MAX: usize = 5000;
/// Octets of one of them.
pub const PERSON_BYTES_MAX: usize = 32 * 1024;
/// Snoozed emails of an account.
pub const SNOOZES_MAX: usize = 1000;
/// Nothing is snoozed for longer.
pub const SNOOZE_SECS_MAX: i64 = 10 * 366 * 86_400;

/// maxSizeRequest
pub const REQUEST_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// maxConcurrentRequests, per account.
pub const CONCURRENT_REQUESTS_MAX: usize = 8;
/// Values in a request, each of which takes many times what it takes to write: numbers and strings, lists and objects.
pub const REQUEST_VALUES_MAX: usize = 200_000;
/// maxCallsInRequest
pub const CALLS_MAX: usize = 64;
/// maxObjectsInGet
pub const GET_MAX: usize = 1000;
/// maxObjectsInSet
pub const SET_MAX: usize = 1000;
/// maxConcurrentUpload, per account.
pub const CONCURRENT_UPLOADS_MAX: usize = 4;
/// Uploaded octets of one account that wait for their use.
pub const UPLOADED_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// ... for so long (RFC 8620 §6 asks for an hour at least).
pub const UPLOADED_MAX: Duration = Duration::from_secs(6 * 3600);
/// That is looked after so often.
pub const UPLOADED_SWEEP: Duration = Duration::from_secs(600);
/// Uploads of one account that wait.
pub const UPLOADS_MAX: usize = 1000;
/// What is downloaded is read so much at a time.
pub const DOWNLOAD_PIECE_BYTES: u64 = 256 * 1024;
/// Parts of messages in messages, which are read whole, that one account downloads at the same time; others of it wait.
pub const WHOLE_BLOBS_MAX: usize = 2;
/// maxDataSources (RFC 9404 §3.1)
pub const BLOB_SOURCES_MAX: usize = 64;
/// Event streams of an account.
pub const STREAMS_MAX: usize = 32;
/// A WebSocket is pinged so often (more often where silence is borne for less); after three that nobody answers it is over.
pub const SOCKET_PING: Duration = Duration::from_secs(60);
/// A message that comes by WebSocket slower than this is not waited for past that.
pub const SOCKET_BYTES_PER_SEC_MIN: u64 = 1024;
/// Pings come no more often ...
pub const PING_SECS_MIN: u64 = 5;
/// ... and no less.
pub const PING_SECS_MAX: u64 = 300;
/// Push subscriptions of an account.
pub const PUSH_SUBSCRIPTIONS_MAX: usize = 20;
/// Octets of a push service's address.
pub const PUSH_URL_BYTES_MAX: usize = 2048;
/// A push subscription that nobody renews is over after so long.
pub const PUSH_SECS_MAX: i64 = 30 * 86_400;
/// What a push service's answer may be long; nobody reads it.
pub const PUSH_ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// Push services that are told something at the same time.
pub const PUSHES_AT_ONCE_MAX: usize = 32;
/// A push service that could not take it is asked again after so long; doubled each time ...
pub const PUSH_AGAIN: Duration = Duration::from_secs(30);
/// ... up to this, whatever it says itself.
pub const PUSH_AGAIN_MAX: Duration = Duration::from_secs(3600);
/// Accounts of one person.
pub const ONE_PERSON_ACCOUNTS_MAX: usize = 100;
/// Rows of a list that come with the page: a window of the program's (`web-program/src/data/order.ts`).
pub const FIRST_ROWS: usize = 50;
/// A page does not wait longer for what comes with it.
pub const FIRST_PATIENCE: Duration = Duration::from_millis(150);
/// Octets of an identity, its signatures with it.
pub const IDENTITY_BYTES_MAX: usize = store::limits::RECORD_BYTES_MAX;
/// Depth of a filter.
pub const FILTER_DEPTH_MAX: usize = 16;
/// Conditions in a filter, each word that is looked for one.
pub const FILTER_CONDITIONS_MAX: usize = 128;
/// Octets of what a filter looks for in messages, all together.
pub const FILTER_TEXT_BYTES_MAX: usize = 16 * 1024;
/// Comparators of a sort: each is asked in every comparison.
pub const SORT_MAX: usize = 16;
/// Ids that a `/query` answers at most at once.
pub const QUERY_MAX: usize = 5000;
/// Ids that a `/changes` answers at most at once.
pub const CHANGES_MAX: usize = 5000;
/// maxSizeMailboxName
pub const MAILBOX_NAME_BYTES_MAX: usize = 490;
/// Delivery reports, and receipts, that are kept of one submission.
pub const REPORTS_MAX: usize = 300;
/// Octets of a report that are read.
pub const REPORT_BYTES_MAX: u64 = 1024 * 1024;
/// Of messages that came so many of the newest are looked at for reports at once.
pub const REPORTS_LOOKED_MAX: usize = 2000;
/// Accounts of which it is known in memory how far that was done.
pub const REPORTS_ACCOUNTS_MAX: usize = 10_000;
/// Emails of all accounts together whose places are held in memory.
pub const VIEW_EMAILS_MAX: usize = 1_000_000;
/// Answers of queries kept for an account that does not change.
pub const RESULTS_KEPT: usize = 8;
/// Facts read at a time.
pub const FACTS_CHUNK: usize = 500;
/// Octets of body values in all answers to one request; the rest is cut and says so.
pub const BODY_VALUES_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Octets that one answer of `Email/get` and `Email/parse` takes in memory, with headers and all; of `Blob/get`, that it is made of.
pub const ANSWER_BYTES_MAX: usize = 48 * 1024 * 1024;
/// Octets that all answers to one request take in memory: when there are more, the calls that are left are not made.
pub const ANSWERS_BYTES_MAX: usize = 96 * 1024 * 1024;
/// A response as large as this counts among those at work until all but a few pieces of it is out.
pub const HELD_BYTES_MIN: usize = 256 * 1024;
/// Octets that the references of one request bring from earlier answers, each time they do.
pub const REFERRED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Octets of a picture that a message shows from elsewhere.
pub const PICTURE_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// Hosts outside that are asked at the same time.
pub const OUTSIDE_AT_ONCE_MAX: usize = 32;
/// ... and so many of them for one account: others find a place whatever it asks for.
pub const OUTSIDE_OF_ONE_MAX: usize = 8;

/// maxSizeAttachmentsPerEmail: what base64 makes of them still is a message that is taken.
pub fn attachments_bytes_max(message_bytes_max: u64) -> u64 {
    message_bytes_max / 10 * 7
}
