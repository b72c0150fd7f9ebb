//! Aggregate reports of DMARC (RFC 9990): written for others, and read when others send them to us.
//!
//! Reading takes RFC 7489's shape as well, and what real reporters make of either. Invariant: a report says nothing about single
//! people: addresses of machines, domains and numbers. Must not know: mail, compression.

use crate::xml::{Element, escape, parse};
use std::fmt::Write as _;
use std::net::IpAddr;

/// Rows of one report.
pub const ROWS_MAX: usize = 50_000;

/// A report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Who reports.
    pub organization: String,
    /// Whom to ask about it.
    pub email: String,
    /// Tells it from the others of that organization.
    pub id: String,
    /// First second of the time it is about.
    pub begin_secs: i64,
    /// Last second.
    pub end_secs: i64,
    /// Whose policy.
    pub domain: String,
    /// `p=`
    pub policy: String,
    /// `sp=`
    pub subdomains: String,
    /// `np=`
    pub nonexistent: String,
    /// `t=y`
    pub testing: bool,
    /// `adkim=s`
    pub dkim_strict: bool,
    /// `aspf=s`
    pub spf_strict: bool,
    /// What was seen.
    pub rows: Vec<Row>,
}

/// Messages that are alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// Who brought them.
    pub source: Option<IpAddr>,
    /// How many.
    pub count: u64,
    /// What became of them: `none`, `quarantine`, `reject`.
    pub disposition: String,
    /// DKIM spoke for the author.
    pub dkim_aligned: bool,
    /// SPF did.
    pub spf_aligned: bool,
    /// Why the policy was not followed.
    pub reason: String,
    /// The author's domain.
    pub header_from: String,
    /// The domain of MAIL FROM.
    pub envelope_from: String,
    /// (domain, selector, result) of each signature.
    pub dkim: Vec<(String, String, String)>,
    /// (domain, result) of SPF.
    pub spf: Option<(String, String)>,
}

fn element(out: &mut String, name: &str, text: &str) {
    let _ = writeln!(out, "<{name}>{}</{name}>", escape(text));
}

fn word(pass: bool) -> &'static str {
    if pass { "pass" } else { "fail" }
}

impl Report {
    /// The document.
    pub fn render(&self) -> String {
        let mut out = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\">\n<version>1.0</version>\n<report_metadata>\n",
        );
        element(&mut out, "org_name", &self.organization);
        element(&mut out, "email", &self.email);
        element(&mut out, "report_id", &self.id);
        let _ = writeln!(
            out,
            "<date_range><begin>{}</begin><end>{}</end></date_range>\n</report_metadata>",
            self.begin_secs, self.end_secs
        );
        out.push_str("<policy_published>\n");
        element(&mut out, "domain", &self.domain);
        for (name, value) in [("p", &self.policy), ("sp", &self.subdomains), ("np", &self.nonexistent)] {
            if !value.is_empty() {
                element(&mut out, name, value);
            }
        }
        for (name, strict) in [("adkim", self.dkim_strict), ("aspf", self.spf_strict)] {
            element(&mut out, name, if strict { "s" } else { "r" });
        }
        element(&mut out, "testing", if self.testing { "y" } else { "n" });
        element(&mut out, "discovery_method", "treewalk");
        out.push_str("</policy_published>\n");
        for row in &self.rows {
            row.render(&mut out);
        }
        out.push_str("</feedback>\n");
        out
    }

    /// Reads one.
    pub fn parse(text: &str) -> Result<Report, &'static str> {
        let root = parse(text)?;
        if root.name != "feedback" {
            return Err("it is no DMARC report");
        }
        let meta = |name: &str| root.at(&["report_metadata", name]).to_owned();
        let policy = |name: &str| root.at(&["policy_published", name]).to_ascii_lowercase();
        let number = |path: &[&str]| root.at(path).parse().unwrap_or(0);
        let report = Report {
            organization: meta("org_name"),
            email: meta("email"),
            id: meta("report_id"),
            begin_secs: number(&["report_metadata", "date_range", "begin"]),
            end_secs: number(&["report_metadata", "date_range", "end"]),
            domain: policy("domain"),
            policy: policy("p"),
            subdomains: policy("sp"),
            nonexistent: policy("np"),
            testing: policy("testing") == "y",
            dkim_strict: policy("adkim") == "s",
            spf_strict: policy("aspf") == "s",
            rows: root.all("record").take(ROWS_MAX).map(Row::read).collect(),
        };
        if report.domain.is_empty() { Err("the report names no domain") } else { Ok(report) }
    }

    /// All messages, and how many of them nobody spoke for.
    pub fn totals(&self) -> (u64, u64) {
        let sum = |rows: &mut dyn Iterator<Item = &Row>| rows.fold(0u64, |sum, row| sum.saturating_add(row.count));
        let failed = sum(&mut self.rows.iter().filter(|row| !row.dkim_aligned && !row.spf_aligned));
        (sum(&mut self.rows.iter()), failed)
    }
}

impl Row {
    fn render(&self, out: &mut String) {
        out.push_str("<record>\n<row>\n");
        element(out, "source_ip", &self.source.map(|ip| ip.to_string()).unwrap_or_default());
        element(out, "count", &self.count.to_string());
        out.push_str("<policy_evaluated>\n");
        element(out, "disposition", &self.disposition);
        element(out, "dkim", word(self.dkim_aligned));
        element(out, "spf", word(self.spf_aligned));
        if !self.reason.is_empty() {
            let _ = writeln!(out, "<reason><type>{}</type></reason>", escape(&self.reason));
        }
        out.push_str("</policy_evaluated>\n</row>\n<identifiers>\n");
        element(out, "header_from", &self.header_from);
        element(out, "envelope_from", &self.envelope_from);
        out.push_str("</identifiers>\n<auth_results>\n");
        for (domain, selector, result) in &self.dkim {
            out.push_str("<dkim>");
            element(out, "domain", domain);
            element(out, "selector", selector);
            element(out, "result", result);
            out.push_str("</dkim>\n");
        }
        if let Some((domain, result)) = &self.spf {
            out.push_str("<spf>");
            element(out, "domain", domain);
            element(out, "scope", "mfrom");
            element(out, "result", result);
            out.push_str("</spf>\n");
        }
        out.push_str("</auth_results>\n</record>\n");
    }

    fn read(record: &Element) -> Row {
        let evaluated = |name: &str| record.at(&["row", "policy_evaluated", name]).to_ascii_lowercase();
        let result = |of: &Element, name: &str| of.at(&[name]).to_owned();
        let results = record.child("auth_results");
        let dkim = results.map(|results| {
            results
                .all("dkim")
                .take(16)
                .map(|one| (result(one, "domain"), result(one, "selector"), result(one, "result")))
                .collect()
        });
        Row {
            source: record.at(&["row", "source_ip"]).parse().ok(),
            count: record.at(&["row", "count"]).parse().unwrap_or(0),
            disposition: evaluated("disposition"),
            dkim_aligned: evaluated("dkim") == "pass",
            spf_aligned: evaluated("spf") == "pass",
            reason: record.at(&["row", "policy_evaluated", "reason", "type"]).to_owned(),
            header_from: record.at(&["identifiers", "header_from"]).to_ascii_lowercase(),
            envelope_from: record.at(&["identifiers", "envelope_from"]).to_ascii_lowercase(),
            dkim: dkim.unwrap_or_default(),
            spf: results.and_then(|results| results.child("spf")).map(|one| (result(one, "domain"), result(one, "result"))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let row = Row {
            source: Some([192, 0, 2, 1].into()),
            count: 7,
            disposition: "reject".into(),
            dkim_aligned: false,
            spf_aligned: true,
            reason: "trusted_forwarder".into(),
            header_from: "x.test".into(),
            envelope_from: "y.test".into(),
            dkim: vec![("x.test".into(), "s<1>".into(), "fail".into())],
            spf: Some(("y.test".into(), "pass".into())),
        };
        let failed = Row { count: 2, spf_aligned: false, reason: String::new(), spf: None, ..row.clone() };
        let report = Report {
            organization: "Here & there".into(),
            email: "postmaster@here.test".into(),
            id: "1!x".into(),
            begin_secs: 86_400,
            end_secs: 172_799,
            domain: "x.test".into(),
            policy: "reject".into(),
            testing: true,
            spf_strict: true,
            rows: vec![row, failed],
            ..Report::default()
        };
        let text = report.render();
        assert_eq!(Report::parse(&text), Ok(report.clone()));
        assert_eq!(report.totals(), (9, 2));
        assert!(Report::parse("<feedback/>").is_err() && Report::parse("<html></html>").is_err());
    }

    /// RFC 7489 appendix C's shape, as the big ones still send it.
    #[test]
    fn an_older_report() {
        let text = "<?xml version=\"1.0\"?><feedback><report_metadata><org_name>big.test</org_name><email>noreply@big.test</email><report_id>9</report_id><date_range><begin>1</begin><end>2</end></date_range></report_metadata><policy_published><domain>X.test</domain><adkim>r</adkim><aspf>r</aspf><p>none</p><sp>none</sp><pct>100</pct></policy_published><record><row><source_ip>2001:db8::1</source_ip><count>3</count><policy_evaluated><disposition>none</disposition><dkim>fail</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>x.test</header_from></identifiers><auth_results><spf><domain>x.test</domain><result>softfail</result></spf></auth_results></record></feedback>";
        let report = Report::parse(text).unwrap();
        assert_eq!((report.domain.as_str(), report.totals()), ("x.test", (3, 3)));
        assert_eq!(report.rows[0].spf, Some(("x.test".into(), "softfail".into())));
    }
}
