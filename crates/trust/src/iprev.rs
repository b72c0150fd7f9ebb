//! Does the address have a name that leads back to it (RFC 8601 §3, `iprev`)? Forward-confirmed reverse DNS.

use crate::dns::{Dns, DnsError, together};
use crate::limits::SPF_PTR_NAMES_MAX;
use std::net::IpAddr;

/// What reverse DNS said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Iprev {
    /// This name leads back.
    Pass(String),
    /// There is no name, or none leads back.
    Fail,
    /// DNS did not answer.
    TempError,
}

impl Iprev {
    /// RFC 8601's word.
    pub fn word(&self) -> &'static str {
        match self {
            Iprev::Pass(_) => "pass",
            Iprev::Fail => "fail",
            Iprev::TempError => "temperror",
        }
    }
}

/// Asks.
pub async fn check(dns: &dyn Dns, ip: IpAddr) -> Iprev {
    let names = match dns.ptr(ip.to_canonical()).await {
        Ok(names) => names,
        Err(error) if error.is_temporary() => return Iprev::TempError,
        Err(_) => return Iprev::Fail,
    };
    let asked = names.iter().take(SPF_PTR_NAMES_MAX).map(|name| leads_to(dns, name, ip));
    let answers = together(asked).await;
    for (name, answer) in names.iter().zip(&answers) {
        if matches!(answer, Ok(true)) {
            return Iprev::Pass(name.clone());
        }
    }
    if answers.iter().any(|answer| answer.as_ref().is_err_and(DnsError::is_temporary)) { Iprev::TempError } else { Iprev::Fail }
}

/// Is `ip` among the addresses of `name`?
pub(crate) async fn leads_to(dns: &dyn Dns, name: &str, ip: IpAddr) -> Result<bool, DnsError> {
    match ip.to_canonical() {
        IpAddr::V4(ip) => dns.ipv4(name).await.map(|found| found.contains(&ip)),
        IpAddr::V6(ip) => dns.ipv6(name).await.map(|found| found.contains(&ip)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::dns::tests::{Table, now};

    #[test]
    fn only_what_leads_back() {
        let dns = Table::default().ptr("192.0.2.1", "liar.test").ptr("192.0.2.1", "mx.test").ip("mx.test", "192.0.2.1");
        let dns = dns.ip("liar.test", "192.0.2.9").ptr("192.0.2.2", "liar.test").broken("192.0.2.3");
        let asked = |ip: &str| now(check(&dns, ip.parse().unwrap()));
        assert_eq!(asked("192.0.2.1"), Iprev::Pass("mx.test".to_owned()));
        assert_eq!(asked("::ffff:192.0.2.1"), Iprev::Pass("mx.test".to_owned()));
        assert_eq!(asked("192.0.2.2"), Iprev::Fail);
        assert_eq!(asked("192.0.2.3"), Iprev::TempError);
        assert_eq!(asked("2001:db8::1"), Iprev::Fail);
    }
}
