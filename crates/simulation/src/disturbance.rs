//! What befalls a server while trouble lasts: failing calls of its disk, a full disk, orderly restarts, sudden death.
//!
//! Invariant: when it returns the server is up and its disk is well.

use crate::chance::Chance;
use crate::world::World;
use std::sync::Arc;
use std::time::Duration;
use store::StoreError;

/// Until all is calm.
pub(crate) async fn disturb(world: Arc<World>, at: usize) {
    let Some(office) = world.offices.get(at) else { return };
    let name = office.plan.name;
    let mut chance = Chance::new(world.seed, "disturbance", at as u64);
    let how_often = *chance.pick(&[0, 300, 1_200, 3_600]);
    while how_often > 0 && pause(&world, chance.from(how_often / 4, how_often * 2)).await {
        match chance.from(0, 9) {
            0..=3 => {
                let calls = chance.from(0, 60);
                world.disturbed("disk call fails", &format!("{name}: call {calls} from now"));
                office.disk().fail_after(calls, StoreError::Io("input/output error".to_owned()));
            }
            4 | 5 => {
                let secs = *chance.pick(&[1, 10, 120, 1_800]);
                world.disturbed("disk full", &format!("{name} for {secs} s"));
                world.fill(at);
                office.disk().set_full(true);
                pause(&world, secs).await;
                office.disk().set_full(false);
            }
            6 => {
                world.disturbed("restart", name);
                office.stop(&world).await;
                tokio::time::sleep(Duration::from_secs(chance.from(1, 30))).await;
                office.start(&world).await;
            }
            _ => {
                world.disturbed("killed", name);
                office.kill(&world);
                tokio::time::sleep(Duration::from_millis(chance.from(500, 200_000))).await;
                office.start(&world).await;
            }
        }
    }
    // An injected failure that nothing has met yet is taken back.
    office.disk().heal();
}

/// False when all has become calm meanwhile.
async fn pause(world: &World, secs: u64) -> bool {
    let mut calm = world.calm_watch();
    tokio::select! {
        biased;
        _ = calm.wait_for(|calm| *calm) => false,
        () = tokio::time::sleep(Duration::from_secs(secs)) => true,
    }
}
