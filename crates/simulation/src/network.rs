//! The network: who listens where, how a connection fares, what is in its way.
//!
//! Invariant: while trouble lasts every connection's fate is drawn before its first octet, so a seed repeats it; when all
//! is calm none is disturbed. Must not know: protocols.

use crate::chance::Chance;
use crate::names;
use crate::pipe::{self, End, Plan, Record, Trouble};
use crate::world::{Door, World};
use net::{Dial, Dialling};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The network as one machine sees it.
pub(crate) struct Road {
    pub(crate) world: Arc<World>,
    pub(crate) from: IpAddr,
    /// For the log.
    pub(crate) name: String,
}

impl Dial for Road {
    fn dial(&self, to: SocketAddr) -> Dialling {
        let (world, from, name) = (Arc::clone(&self.world), self.from, self.name.clone());
        Box::pin(async move {
            let end = connect(&world, &name, from, to).await?;
            Ok((Box::new(end) as Box<dyn net::Octets>, SocketAddr::new(from, 40_000)))
        })
    }
}

/// What a connection meets.
enum Fate {
    Refused,
    NoAnswer,
    Made([Plan; 2]),
}

fn trouble(chance: &mut Chance) -> (u64, Trouble) {
    // Most conversations are a few hundred octets of words, then a message: every place of both gets its share.
    let after = if chance.percent(50) { chance.from(0, 300) } else { chance.from(0, 2_500) };
    let what = match chance.from(0, 5) {
        0 | 1 => Trouble::Reset,
        2 => Trouble::Silence,
        3 => Trouble::HalfClose,
        4 => Trouble::Stall(chance.from(1_000, 20_000)),
        _ => Trouble::Stall(chance.from(60_000, 1_200_000)),
    };
    (after, what)
}

fn plan(chance: &mut Chance, disturbed: bool) -> Plan {
    let crumb = match chance.from(0, 19) {
        0 => 1,
        1..=4 => usize::try_from(chance.from(2, 200)).unwrap_or(2),
        _ => 16 * 1024,
    };
    let slow = chance.percent(20);
    let delay_millis = if slow { (0, 400) } else { (1, 5) };
    Plan { crumb, delay_millis, trouble: disturbed.then(|| trouble(chance)) }
}

fn fate(chance: &mut Chance, world: &World) -> Fate {
    if world.is_calm() {
        return Fate::Made([plan(chance, false), plan(chance, false)]);
    }
    match chance.from(0, 99) {
        0..=2 => Fate::Refused,
        3 => Fate::NoAnswer,
        _ => {
            let (there, back) = (chance.percent(world.trouble_percent), chance.percent(world.trouble_percent));
            Fate::Made([plan(chance, there), plan(chance, back)])
        }
    }
}

/// Who takes a connection to a server that demands TLS.
fn door(chance: &mut Chance, world: &World, to: SocketAddr) -> Door {
    let is_led_astray = world.is_protected(to.ip()) && !world.is_calm() && chance.percent(world.impostor_percent);
    match (is_led_astray, to.port()) {
        (false, _) => Door::Own,
        (true, 25) if chance.percent(50) => Door::Bare,
        (true, _) => Door::False,
    }
}

/// Connects, or fails as networks do.
pub(crate) async fn connect(world: &Arc<World>, from_name: &str, from: IpAddr, to: SocketAddr) -> io::Result<End> {
    let number = world.next_connection();
    let mut chance = Chance::new(world.seed, "connection", number);
    tokio::time::sleep(Duration::from_millis(chance.from(1, 40))).await;
    let fate = fate(&mut chance, world);
    let door = door(&mut chance, world, to);
    if to.ip() == names::ip(names::SILENT) {
        let _knocking = world.knock();
        return std::future::pending().await;
    }
    if to.ip() == names::ip(names::NOBODY) {
        if chance.percent(50) {
            std::future::pending::<()>().await;
        }
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    match fate {
        Fate::Refused => {
            world.disturbed("refused", &format!("c{number} {from_name} -> {to}"));
            Err(io::ErrorKind::ConnectionRefused.into())
        }
        Fate::NoAnswer => {
            world.disturbed("no answer", &format!("c{number} {from_name} -> {to}"));
            std::future::pending().await
        }
        Fate::Made(plans) => {
            let veiled = world.is_protected(to.ip());
            let record = Record { ends: vec![from_name.to_owned(), world.name_of(to.ip())], veiled, ..Record::default() };
            let planned = format!("{:?} {:?}", plans[0], plans[1]);
            let record = Arc::new(Mutex::new(record));
            let (near, far) = pipe::pair(plans, chance, Arc::clone(&record));
            if !world.accept(to, far, from, door) {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            world.count(|counts| counts.connections += 1);
            world.log.say(format!(
                "c{number} {from_name} -> {to}{}: {planned}",
                if door == Door::Own { "" } else { " (an impostor)" }
            ));
            world.records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
            Ok(near)
        }
    }
}
