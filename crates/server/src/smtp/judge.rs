//! Who brings this, and whose is it: asked from MAIL on, decided between the end of the data and the reply.
//!
//! SPF, reverse DNS and address lists are asked at MAIL; DKIM, ARC and DMARC once the message is whole. The verdicts are written
//! on top of the message and into the trace, with the answers of DNS.
//! Invariant: everything is over within [`ANSWERS_WITHIN`]; no answer is never a refusal for good. Must not know: the session.

use super::{Mode, helo};
use crate::context::{Context, Shared, unix_now};
use crate::trust::{ANSWERS_WITHIN, Ask, Dmarc, TempErrors};
use mta::Refusal;
use smol_str::SmolStr;
use std::net::IpAddr;
use store::TraceEvent;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use trust::aggregate::Row;
use trust::arc::{ArcResult, Chain};
use trust::dkim::DkimResult;
use trust::dmarc::{DmarcResult, Passed, Policy};
use trust::dnsbl::Listing;
use trust::iprev::Iprev;
use trust::results::{self, Found};
use trust::spf::{self, SpfResult};
use trust::{Dns, Recorder, dkim, dmarc, dnsbl, iprev};

/// Lists asked at once.
const LISTS_MAX: usize = 16;

/// What is known at RCPT.
#[derive(Debug, Clone)]
pub(super) struct Early {
    spf: spf::Verdict,
    iprev: Iprev,
    /// The list that has the peer.
    listed: Option<String>,
    /// A list says it is good.
    welcome: bool,
    answers: Vec<String>,
}

/// One transaction's judgement.
pub(super) struct Judge {
    peer: IpAddr,
    helo: String,
    reverse_path: String,
    asking: Option<JoinHandle<Early>>,
    early: Option<Early>,
}

impl Drop for Judge {
    fn drop(&mut self) {
        if let Some(asking) = &self.asking {
            asking.abort();
        }
    }
}

/// The peers that are judged: strangers, not our own machine, unless the configuration wants that too.
pub(super) fn applies(context: &Context, mode: Mode, peer: &net::Peer) -> bool {
    mode == Mode::Mx && context.trust.resolver.is_some() && (!peer.is_loopback() || context.trust.policy.loopback)
}

/// What comes of it.
pub(super) enum Sentence {
    /// Taken.
    Take {
        /// Goes under Return-Path, on top of everything else.
        fields: String,
        /// Into the mailbox for junk.
        junk: bool,
        /// What is sealed when it goes on elsewhere: the body of our results and the chain so far.
        chain: Box<(String, Chain)>,
    },
    /// Not taken.
    Refuse(Refusal),
}

impl Judge {
    /// Begins to ask.
    pub(super) fn begin(context: &Shared, peer: IpAddr, helo: &str, reverse_path: &str) -> Judge {
        let (context, helo, reverse_path) = (context.clone(), helo.to_owned(), reverse_path.to_owned());
        let (said, from) = (helo.clone(), reverse_path.clone());
        let asking = tokio::spawn(async move { early(&context, peer, &said, &from).await });
        Judge { peer, helo, reverse_path, asking: Some(asking), early: None }
    }

    async fn early(&mut self) -> Option<&Early> {
        if let Some(asking) = self.asking.take() {
            self.early = asking.await.ok();
        }
        self.early.as_ref()
    }

    /// At RCPT: lists, SPF where it alone decides, and who is asked to come again. The postmaster hears everybody.
    pub(super) async fn recipient(&mut self, context: &Shared, recipient: &str) -> Result<(), Refusal> {
        let policy = &context.trust.policy;
        let wanted = !policy.dnsbl.is_empty() || policy.spf_refuse || policy.greylist;
        let is_postmaster = recipient.split(['@', '+']).next().is_some_and(|local| local.eq_ignore_ascii_case("postmaster"));
        if is_postmaster {
            return Ok(());
        }
        if let Some(refusal) = helo::problem(context, self.peer, &self.helo).await {
            return Err(refusal);
        }
        if !wanted {
            return Ok(());
        }
        let (peer, reverse_path) = (self.peer, self.reverse_path.clone());
        let Some(early) = self.early().await.cloned() else { return Ok(()) };
        if let Some(list) = early.listed.filter(|_| !early.welcome) {
            return Err(Refusal::new(550, (5, 7, 1), format!("{peer} is listed at {list}")));
        }
        if policy.spf_refuse && early.spf.result == SpfResult::Fail {
            let words = early.spf.explanation.map(|words| format!("; {} says: {words}", early.spf.domain)).unwrap_or_default();
            return Err(Refusal::new(
                550,
                (5, 7, 23),
                format!("{} does not let {peer} send for it (SPF){words}", early.spf.domain),
            ));
        }
        if policy.spf_refuse && early.spf.result == SpfResult::TempError && policy.temp_errors == TempErrors::Defer {
            return Err(Refusal::new(451, (4, 7, 24), "DNS did not answer about SPF, try again later"));
        }
        if policy.greylist && !early.welcome {
            let (store, list) = (&context.store, &context.trust.greylist);
            if !list.admits(store, peer, &reverse_path, recipient, unix_now()).await {
                return Err(Refusal::new(451, (4, 7, 1), "We do not know you yet, try again in a minute"));
            }
        }
        Ok(())
    }

    /// At the end of the data; `message` is what came, without anything of ours.
    pub(super) async fn whole(mut self, context: &Shared, message: &[u8], id: &str, message_id: Option<&str>) -> Sentence {
        let Some(resolver) = &context.trust.resolver else { return nothing() };
        let early = self.early().await.cloned();
        let ask = Ask(resolver);
        let dns = Recorder::new(&ask);
        let now_secs = unix_now();
        let header = message.get(..message::header::header_end(message)).unwrap_or(message);
        let spf = early.as_ref().map(|early| &early.spf);
        let passed_spf = spf.filter(|spf| spf.result == SpfResult::Pass).map(|spf| spf.domain.as_str());
        let asked = timeout(ANSWERS_WITHIN, async {
            let (signatures, chain) =
                tokio::join!(dkim::verify(&dns, message, now_secs), trust::arc::verify(&dns, message, now_secs));
            let passed: Vec<String> =
                signatures.iter().filter(|s| s.result == DkimResult::Pass).map(|s| s.domain.clone()).collect();
            let dmarc = dmarc::check(&dns, header, Passed { spf: passed_spf, dkim: &passed }).await;
            (signatures, chain, dmarc)
        });
        let (signatures, chain, dmarc) =
            asked.await.unwrap_or_else(|_| (Vec::new(), no_chain(ArcResult::TempError), no_dmarc(header)));
        let found = Found {
            peer: Some(self.peer),
            iprev: early.as_ref().map(|early| &early.iprev),
            helo: &self.helo,
            reverse_path: &self.reverse_path,
            spf,
            dkim: &signatures,
            dmarc: Some(&dmarc),
            arc: Some(&chain),
        };
        let sentence = sentence(context, &found, &signatures, &dmarc, &chain);
        if context.trust.policy.reports {
            self.count(context, spf, &signatures, &dmarc, &sentence).await;
        }
        let mut answers = early.as_ref().map(|early| early.answers.clone()).unwrap_or_default();
        answers.extend(dns.answers());
        self.trace(context, &found, &sentence, (id, message_id), &answers);
        sentence
    }

    /// For the report of the day, when the author's domain wants one.
    async fn count(
        &self,
        context: &Shared,
        spf: Option<&spf::Verdict>,
        signatures: &[dkim::Outcome],
        verdict: &dmarc::Verdict,
        sentence: &Sentence,
    ) {
        let Some((place, record)) = verdict.published.as_ref().filter(|(_, record)| !record.reports_to.is_empty()) else {
            return;
        };
        let disposition = match sentence {
            Sentence::Refuse(refusal) if refusal.is_permanent() => Policy::Reject,
            // It comes again, and is counted then.
            Sentence::Refuse(_) => return,
            Sentence::Take { junk: true, .. } => Policy::Quarantine,
            Sentence::Take { .. } => Policy::None,
        };
        let asked = verdict.disposition != Policy::None || record.policy == Policy::None;
        let other = !asked || disposition != verdict.disposition;
        let reason = if verdict.result == DmarcResult::Fail && other { "local_policy" } else { "" };
        let row = Row {
            source: Some(self.peer),
            count: 0,
            disposition: disposition.word().to_owned(),
            dkim_aligned: verdict.dkim_aligned,
            spf_aligned: verdict.spf_aligned,
            reason: reason.to_owned(),
            header_from: verdict.author.clone(),
            envelope_from: spf.map(|spf| spf.domain.clone()).unwrap_or_default(),
            dkim: signatures.iter().map(|s| (s.domain.clone(), s.selector.clone(), s.result.word().to_owned())).collect(),
            spf: spf.map(|spf| (spf.domain.clone(), spf.result.word().to_owned())),
        };
        context.trust.counts.add(&context.store, place, row, unix_now()).await;
    }

    /// Every verdict with the answers it rests on.
    fn trace(
        &self,
        context: &Shared,
        found: &Found<'_>,
        sentence: &Sentence,
        (id, message_id): (&str, Option<&str>),
        answers: &[String],
    ) {
        let verdicts = results::body(&context.hostname, found).replace("\r\n\t", " ");
        let decided = match sentence {
            Sentence::Take { junk: false, .. } => "taken".to_owned(),
            Sentence::Take { junk: true, .. } => "taken as junk".to_owned(),
            Sentence::Refuse(refusal) => format!("refused: {refusal}"),
        };
        tracing::info!(id, peer = %self.peer, verdicts, decided, "judged");
        let mut keys = vec![
            (SmolStr::new_static("transaction"), id.to_owned()),
            (SmolStr::new_static("ip"), self.peer.to_string()),
            (SmolStr::new_static("address"), self.reverse_path.clone()),
        ];
        keys.extend(message_id.map(|id| (SmolStr::new_static("message-id"), id.to_owned())));
        keys.retain(|(_, value)| !value.is_empty());
        let detail = format!("{decided}; {verdicts}; DNS: {}", answers.join(" | "));
        let detail: String = detail.chars().take(16_000).collect();
        context.store.trace(vec![TraceEvent { keys, ..TraceEvent::new(unix_now(), "judged", detail) }]);
    }
}

fn nothing() -> Sentence {
    Sentence::Take { fields: String::new(), junk: false, chain: Box::new((String::new(), no_chain(ArcResult::TempError))) }
}

fn no_chain(result: ArcResult) -> Chain {
    Chain { result, reason: None, sealers: Vec::new(), found: Vec::new() }
}

fn no_dmarc(header: &[u8]) -> dmarc::Verdict {
    dmarc::Verdict {
        result: DmarcResult::TempError,
        author: dmarc::authors(header).into_iter().next().unwrap_or_default(),
        disposition: Policy::None,
        published: None,
        spf_aligned: false,
        dkim_aligned: false,
    }
}

async fn early(context: &Shared, peer: IpAddr, helo: &str, reverse_path: &str) -> Early {
    let question = spf::Question { ip: peer, sender: reverse_path, helo, receiver: &context.hostname, now_secs: unix_now() };
    let unanswered = spf::Verdict {
        result: SpfResult::TempError,
        domain: reverse_path.rsplit_once('@').map_or(helo, |(_, domain)| domain).to_ascii_lowercase(),
        of_helo: reverse_path.is_empty(),
        explanation: None,
        problem: Some("DNS did not answer in time".to_owned()),
    };
    let Some(resolver) = &context.trust.resolver else {
        return Early { spf: unanswered, iprev: Iprev::TempError, listed: None, welcome: false, answers: Vec::new() };
    };
    let ask = Ask(resolver);
    let dns = Recorder::new(&ask);
    let policy = &context.trust.policy;
    let within = |secs| std::time::Duration::from_secs(secs);
    let (spf, iprev, listed, welcome) = tokio::join!(
        timeout(ANSWERS_WITHIN, spf::check(&dns, question)),
        timeout(within(10), iprev::check(&dns, peer)),
        timeout(within(5), on_a_list(&dns, peer, &policy.dnsbl)),
        timeout(within(5), on_a_list(&dns, peer, &policy.dnswl)),
    );
    Early {
        spf: spf.unwrap_or(unanswered),
        iprev: iprev.unwrap_or(Iprev::TempError),
        listed: listed.unwrap_or_default(),
        welcome: welcome.unwrap_or_default().is_some(),
        answers: dns.answers(),
    }
}

/// The first list that has the peer; one that gives no usable answer says nothing.
async fn on_a_list(dns: &dyn Dns, peer: IpAddr, zones: &[String]) -> Option<String> {
    let asked = zones.iter().take(LISTS_MAX).map(|zone| dnsbl::ask(dns, peer, zone));
    let answers = trust::dns::together(asked).await;
    let listed = zones.iter().zip(answers).find(|(_, answer)| matches!(answer, Listing::Listed(_)));
    listed.map(|(zone, _)| zone.clone())
}

fn sentence(
    context: &Shared,
    found: &Found<'_>,
    signatures: &[dkim::Outcome],
    verdict: &dmarc::Verdict,
    chain: &Chain,
) -> Sentence {
    let policy = &context.trust.policy;
    let defer = |code, text: &str| Sentence::Refuse(Refusal::new(451, code, text));
    let unknown = signatures.iter().any(|signature| signature.result == DkimResult::TempError)
        || found.spf.is_none_or(|spf| spf.result == SpfResult::TempError);
    let mut junk = false;
    if policy.dmarc == Dmarc::Enforce && !is_vouched_for(&policy.trusted_sealers, chain) {
        match (verdict.result, verdict.disposition) {
            // Something that could have spoken for it could not be asked: no ground to refuse for good.
            (DmarcResult::Fail, Policy::Reject) if unknown => {
                return defer((4, 7, 26), "DNS did not answer about who sent this, try again later");
            }
            (DmarcResult::Fail, Policy::Reject) => {
                let text = format!("{} asks to refuse mail that neither SPF nor DKIM confirm (DMARC)", verdict.author);
                return Sentence::Refuse(Refusal::new(550, (5, 7, 26), text));
            }
            (DmarcResult::Fail, Policy::Quarantine) => junk = true,
            (DmarcResult::TempError, _) if policy.temp_errors == TempErrors::Defer => {
                return defer((4, 7, 24), "DNS did not answer about DMARC, try again later");
            }
            _ => {}
        }
    }
    let body = results::body(&context.hostname, found);
    let fields = format!("Authentication-Results: {body}\r\n{}", results::received_spf(&context.hostname, found));
    Sentence::Take { fields, junk, chain: Box::new((body, chain.clone())) }
}

/// A whole chain whose newest seal is by somebody we trust, and whose first said that DMARC passed there.
fn is_vouched_for(trusted: &[String], chain: &Chain) -> bool {
    let newest = chain.sealers.last();
    let is_trusted = newest.is_some_and(|sealer| trusted.iter().any(|name| name.eq_ignore_ascii_case(sealer)));
    let passed = |found: &String| {
        let read = message::authentication_results::parse(found.as_bytes());
        read.is_some_and(|read| read.result("dmarc").is_some_and(|result| result.result == "pass"))
    };
    chain.result == ArcResult::Pass && is_trusted && chain.found.last().is_some_and(passed)
}
