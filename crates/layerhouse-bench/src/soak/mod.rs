//! A long run of everything at once: clients push, pull, mount, move tags, delete and restore, while the server
//! collects, scrubs and is backed up, and is killed again and again. Every byte is hashed and every answer
//! compared with what the answers before it allow.
//!
//! Unlike the other kinds of load this is of one server, which it starts itself: Layerhouse's binary.

mod goods;
mod house;
mod keeper;
mod owner;
mod register;
mod sharer;
mod summary;
mod talk;
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::arguments::Soak;
use crate::http::origin::Origin;
use crate::server::{Server, Url};
use goods::Quarry;
use house::{House, kill_again_and_again};
use keeper::Keeper;
use owner::Owner;
use sharer::{Shared, Sharer};
use talk::Talk;
use world::{Dice, World};

/// Longest that nothing may move on a connection.
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs the soak; a table of what was done.
///
/// # Errors
/// What went wrong, with the table, if anything did.
pub(crate) fn run(arguments: &Soak) -> Result<String, String> {
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => getrandom::u64().map_err(|error| format!("no seed: {error}"))? >> 16,
    };
    let world = Arc::new(World::new());
    let mut house = House::new(&arguments.server, &arguments.root)?;
    let (owners, sharers) = clients(arguments, seed, &world, &house)?;
    let mut keeper = Keeper::new(&world, &house);

    let begun = Instant::now();
    house.start()?;
    world.turn();
    let length = arguments.length();
    let mut samples = Vec::new();
    let (kills, checked) = std::thread::scope(|scope| {
        let owners: Vec<_> = owners
            .into_iter()
            .map(|mut owner| {
                scope.spawn(move || {
                    owner.work();
                    owner
                })
            })
            .collect();
        for mut sharer in sharers {
            scope.spawn(move || sharer.work());
        }
        scope.spawn(|| keeper.work());
        scope.spawn(|| {
            world.rest(length);
            world.end();
        });
        let every = arguments.kill_every;
        let kills = kill_again_and_again(&mut house, &world, every, &mut samples);
        if kills.is_err() {
            world.end();
        }
        let owners: Vec<Owner> = owners
            .into_iter()
            .filter_map(|owner| owner.join().ok())
            .collect();
        let are_all = owners.len() as u64 == arguments.clients;
        (kills, (owners, are_all))
    });
    let ran = begun.elapsed();
    let (mut owners, are_all) = checked;
    let mut wrong = Vec::new();
    if !are_all {
        wrong.push("a client panicked".to_owned());
    }
    let kills = kills.unwrap_or_else(|error| {
        wrong.push(error);
        0
    });
    let mut verified = String::new();
    if wrong.is_empty() {
        match prove(&mut house, &mut owners, &mut keeper, &world) {
            Ok(said) => verified = said,
            Err(error) => wrong.push(error),
        }
    }
    let table = summary::Summary {
        world: &world,
        seed,
        ran,
        kills,
        samples: &samples,
        verified: &verified,
        keeper: &keeper,
        wrong: &wrong,
    }
    .table();
    if wrong.is_empty() && world.failed() == 0 {
        Ok(table)
    } else {
        Err(table)
    }
}

/// The last look, at rest: everything that was ever acknowledged is there, in the data directory and in one that
/// is made of the last backup. What `verify` said.
fn prove(
    house: &mut House,
    owners: &mut [Owner],
    keeper: &mut Keeper,
    world: &World,
) -> Result<String, String> {
    let mut look = |when: &str| -> Result<(), String> {
        let looked = owners.iter_mut().try_for_each(Owner::check_all);
        looked.map_err(|_| format!("the server went away {when}"))
    };
    look("at the end")?;
    // What waits to be collected has its time.
    std::thread::sleep(house::UNDELETE + 2 * house::PROMISE);
    keeper.back_up()?;
    house.stop()?;
    let verified = summary::verify(house)?;
    house.move_to("restored")?;
    keeper.restore(house)?;
    // Clients dial anew.
    world.turn();
    house.start()?;
    world.turn();
    look("in the backup")?;
    house.stop()?;
    summary::verify(house)?;
    Ok(verified)
}

/// Those with repositories of their own, and those who share one.
fn clients(
    arguments: &Soak,
    seed: u64,
    world: &Arc<World>,
    house: &House,
) -> Result<(Vec<Owner>, Vec<Sharer>), String> {
    let origin = origin(house)?;
    let quarry = Quarry::new(seed);
    let mut owners = Vec::new();
    for number in 0..arguments.clients {
        let talk = Talk::new(world, &origin, &format!("client {number}"))?;
        let dice = Dice::new(seed ^ (number + 1));
        owners.push(Owner::new(talk, number, dice, quarry.clone(), house.root()));
    }
    let shared = Arc::new(Shared::default());
    let mut sharers = Vec::new();
    for number in 0..arguments.clients.div_ceil(2) {
        let talk = Talk::new(world, &origin, &format!("sharer {number}"))?;
        let dice = Dice::new(seed ^ (1 << 32) ^ number);
        let shared = Arc::clone(&shared);
        let clients = arguments.clients;
        sharers.push(Sharer::new(talk, dice, quarry.clone(), shared, clients));
    }
    Ok((owners, sharers))
}

fn origin(house: &House) -> Result<Arc<Origin>, String> {
    let url: Url = format!("http://{}", house.address).parse()?;
    let server = Server {
        name: "layerhouse".to_owned(),
        url,
        processes: Vec::new(),
        files: None,
    };
    Origin::of(&server, None, None, PATIENCE, true).map(Arc::new)
}
